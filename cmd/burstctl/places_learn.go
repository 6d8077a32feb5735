package main

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/residency"
)

// zonesOfEC2 is what DescribeAvailabilityZones answers, as far as it matters.
type zonesOfEC2 struct {
	AvailabilityZones []struct {
		RegionName, ZoneName, ZoneID, ZoneType, NetworkBorderGroup string
		Geography                                                  []struct{ Name string }
	}
}

// kindsOfEC2 are its words for kinds.
var kindsOfEC2 = map[string]residency.Kind{"availability-zone": residency.AZ, "local-zone": residency.LocalZone,
	"wavelength-zone": residency.Wavelength}

// learnedZone is what came of one zone.
type learnedZone struct {
	Zone  string           `json:"zone"`
	How   string           `json:"how"` // "known", "new" or "refused"
	Why   string           `json:"why,omitempty"`
	Place *residency.Place `json:"place,omitempty"`
}

func placesLearn() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "learn ANSWER",
		Short: "Check what AWS says of its zones against the table, and print the rows that are new",
		Long: "Check what AWS says of its zones against the table, and print the rows that are new. ANSWER is what\n" +
			"\"aws ec2 describe-availability-zones --output json\" printed. Nothing is written: new rows are to be\n" +
			"reviewed, put into the table under a higher version, and signed. Exit 3 if a zone is refused.",
		Example: "  burstctl places learn zones.json",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			t, _, err := readPlaceFile(file)
			if err != nil {
				return err
			}
			b, err := os.ReadFile(args[0])
			if err != nil {
				return frame.Wrap(frame.FileMissing, fmt.Errorf("learn places: %w", err), "")
			}
			var answer zonesOfEC2
			if err := json.Unmarshal(b, &answer); err != nil || len(answer.AvailabilityZones) == 0 {
				err = errors.Join(err, errors.New("no zones in it"))
				return frame.Wrap(frame.BadConfig, fmt.Errorf("learn places: %s: %w", args[0], err),
					"want what aws ec2 describe-availability-zones --output json prints")
			}
			learned, refused := learnZones(t, answer)
			err = frame.Print(c.OutOrStdout(), frame.FormatOf(c), "LearnedZoneList", learned, func(w io.Writer) error {
				return writeLearned(w, learned)
			})
			if err == nil && refused > 0 {
				err = &frame.Problem{Code: frame.NotProven, What: "learn places",
					Err: fmt.Errorf("%d of %d zones do not fit the table", refused, len(learned)),
					Why: "the provider says otherwise than the table, or the table has no row for a zone that may lie anywhere",
					Fix: "find out which is right; until then nothing may run there"}
			}
			return err
		},
	}
	c.Flags().StringVar(&file, "table", "", "the table to check against; the shipped one if not named")
	return c
}

// learnZones checks every zone of an answer.
func learnZones(t *residency.Table, answer zonesOfEC2) (learned []learnedZone, refused int) {
	for _, z := range answer.AvailabilityZones {
		zone := residency.Zone{Provider: "aws", Region: z.RegionName, Kind: kindsOfEC2[z.ZoneType], ID: z.ZoneID,
			Name: z.ZoneName, Border: z.NetworkBorderGroup}
		for _, g := range z.Geography {
			if zone.Country != "" {
				zone.Country += ", "
			}
			zone.Country += g.Name
		}
		p, known, err := t.Learn(zone)
		switch {
		case err != nil:
			refused++
			learned = append(learned, learnedZone{Zone: z.ZoneID, How: "refused", Why: err.Error()})
		case known:
			learned = append(learned, learnedZone{Zone: z.ZoneID, How: "known", Place: &p})
		default:
			learned = append(learned, learnedZone{Zone: z.ZoneID, How: "new", Place: &p})
		}
	}
	return learned, refused
}

// writeLearned tells people, and writes new rows as the table has them.
func writeLearned(w io.Writer, learned []learnedZone) error {
	rows := make([][]string, len(learned))
	for i, l := range learned {
		rows[i] = []string{l.Zone, l.How, l.Why}
		if l.Place != nil {
			rows[i][2] = l.Place.Address.String() + " in " + l.Place.Country
		}
	}
	if err := frame.Rows(w, []string{"zone", "how", "what"}, rows); err != nil {
		return err
	}
	out := csv.NewWriter(w)
	for _, l := range learned {
		if l.How == "new" {
			p := l.Place
			_ = out.Write([]string{p.Provider, p.Region, p.Zone, p.Partition, string(p.Kind), p.Country, p.Operator, p.Parent,
				p.Keys, p.Legal, p.Name, p.Source})
		}
	}
	out.Flush()
	return out.Error()
}
