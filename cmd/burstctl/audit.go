package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/residency/audit"
)

// auditCommand groups what an officer does with a log.
func auditCommand() *cobra.Command {
	c := &cobra.Command{Use: "audit", Short: "Verify, review, read, draw, back up and restore a log"}
	c.AddCommand(auditVerify(), auditTransfers(), auditExplain(), auditDenials(), auditServes(), auditWhere(),
		auditTeardown(), auditWeak(), auditBreakGlass(), auditHolds(), auditBundle(), auditList(),
		auditDraw(), auditBackup(), auditRestore())
	return c
}

// readTrust reads the trust file; keys never come from the log's directory.
func readTrust(path string) (audit.Trust, error) {
	if path == "" {
		return audit.Trust{}, &frame.Problem{Code: frame.TrustMissing, What: "read trust",
			Err: errors.New("no trust file was named"),
			Fix: "name it with --trust; its keys must not come from the log's directory"}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return audit.Trust{}, frame.Wrap(frame.TrustMissing, fmt.Errorf("read trust: %w", err), "")
	}
	t, err := audit.ParseTrust(b)
	if err != nil {
		return audit.Trust{}, frame.Wrap(frame.TrustMissing, fmt.Errorf("read trust: %s:%w", path, err), "")
	}
	return t, nil
}

// verdict is the answer of audit verify.
type verdict struct {
	Verifies bool     `json:"verifies"`
	Origin   string   `json:"origin"`
	Size     int64    `json:"size"`
	Root     string   `json:"root"`
	Cosigned int64    `json:"cosigned"`
	FirstBad int64    `json:"first_bad"`
	Problems []string `json:"problems"`
}

func auditVerify() *cobra.Command {
	var trust string
	c := &cobra.Command{
		Use:   "verify LOG",
		Short: "Verify a log directory or a bundle against a trust file; exit 7 if it does not verify",
		Long: "Verify reads every file of the log, recomputes the tree, and checks the signatures of the log and of its\n" +
			"witnesses with the keys of the trust file. Of a bundle it checks its form too, and works out its answers\n" +
			"again. It needs no network and asks nobody.",
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			t, err := readTrust(trust)
			if err != nil {
				return err
			}
			if isFile(args[0]) {
				return verifyBundle(c, args[0], trust, t)
			}
			root, err := openLog(args[0])
			if err != nil {
				return err
			}
			defer root.Close()
			r, err := audit.Verify(c.Context(), root.FS(), t)
			v := verdict{err == nil, r.Origin, r.Size, r.Root, r.CosignedSize, r.FirstBad, r.Problems}
			if perr := frame.Print(c.OutOrStdout(), frame.FormatOf(c), "Verification", v, v.print); perr != nil {
				return perr
			}
			return frame.Wrap(frame.LogUnverified, err, "")
		},
	}
	c.Flags().StringVar(&trust, "trust", "", "file that names the keys of log and witnesses")
	return c
}

func (v verdict) print(w io.Writer) error {
	if v.Verifies {
		_, err := fmt.Fprintf(w, "verifies: %s, %d entries, all cosigned, root %s\n", v.Origin, v.Size, v.Root)
		return err
	}
	fmt.Fprintln(w, "DOES NOT VERIFY")
	if v.FirstBad >= 0 {
		fmt.Fprintf(w, "first bad entry: %d\n", v.FirstBad)
	}
	for _, p := range v.Problems {
		fmt.Fprintln(w, "  "+frame.Clean(p))
	}
	return nil
}

// openLog opens the directory of a log, from which nothing can lead out.
func openLog(dir string) (*os.Root, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, frame.Wrap(frame.FileMissing, fmt.Errorf("open log: %w", err),
			"name the directory that holds the file \"checkpoint\"")
	}
	return root, nil
}

// readLog reads the entries of a log directory in order. It proves nothing;
// audit verify does.
func readLog(ctx context.Context, dir string) ([]audit.Leaf, error) {
	root, err := openLog(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	var leaves []audit.Leaf
	for leaf, err := range audit.Read(ctx, root.FS()) {
		if err != nil {
			return leaves, frame.Wrap(frame.LogUnverified, err, "run \"burstctl audit verify\" to find what is wrong")
		}
		leaves = append(leaves, leaf)
	}
	return leaves, nil
}

func auditList() *cobra.Command {
	var claim string
	c := &cobra.Command{
		Use:   "list DIR",
		Short: "List the entries of a log in words",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			leaves, err := readLog(c.Context(), args[0])
			if err != nil {
				return err
			}
			lines := []line{}
			for _, leaf := range leaves {
				if l := tell(leaf); claim == "" || l.Claim == claim {
					lines = append(lines, l)
				}
			}
			return frame.Print(c.OutOrStdout(), frame.FormatOf(c), "Entries", lines, func(w io.Writer) error {
				rows := make([][]string, len(lines))
				for i, l := range lines {
					rows[i] = []string{fmt.Sprint(l.Index), l.At.Format("2006-01-02T15:04:05.000Z"), l.Code, l.Claim, l.Actor, l.Text}
				}
				return frame.Rows(w, []string{"entry", "time", "code", "claim", "actor", "what"}, rows)
			})
		},
	}
	c.Flags().StringVar(&claim, "claim", "", "only this burst")
	return c
}

func auditBackup() *cobra.Command {
	return &cobra.Command{
		Use:   "backup DIR FILE",
		Short: "Write a log to a file that restore takes; the controller must not be writing",
		Args:  cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			root, err := openLog(args[0])
			if err != nil {
				return err
			}
			defer root.Close()
			f, err := os.OpenFile(args[1], os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
			if errors.Is(err, fs.ErrExist) {
				return frame.Wrap(frame.FileFailed, fmt.Errorf("back up log: %w", err), "name a file that does not exist")
			}
			if err != nil {
				return fmt.Errorf("back up log: %w", err)
			}
			err = audit.Backup(c.Context(), root.FS(), f)
			if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
				os.Remove(args[1])
				return fmt.Errorf("back up log: %w", err)
			}
			fmt.Fprintln(c.ErrOrStderr(), "backed up to", args[1])
			return nil
		},
	}
}

func auditRestore() *cobra.Command {
	var trust string
	c := &cobra.Command{
		Use:   "restore FILE DIR",
		Short: "Verify a backup and put it at DIR, which must not exist",
		Args:  cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			t, err := readTrust(trust)
			if err != nil {
				return err
			}
			f, err := os.Open(args[0])
			if err != nil {
				return frame.Wrap(frame.FileMissing, fmt.Errorf("restore log: %w", err), "")
			}
			defer f.Close()
			if err := audit.Restore(f, args[1], t); err != nil {
				return frame.Wrap(frame.LogUnverified, err, "")
			}
			fmt.Fprintln(c.ErrOrStderr(), "restored to", args[1]+"; a witness that has seen more will refuse it")
			return nil
		},
	}
	c.Flags().StringVar(&trust, "trust", "", "file that names the keys of log and witnesses")
	return c
}
