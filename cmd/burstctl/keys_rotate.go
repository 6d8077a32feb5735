package main

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/burstctl/burstctl/configs"
	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/configs/keys"
	"github.com/burstctl/burstctl/residency/audit"
	"github.com/burstctl/burstctl/tunnel/control"
	"github.com/burstctl/burstctl/tunnel/vault"
)

// keyRoles are the kinds of keys that rotate and revoke take.
var keyRoles = []string{audit.RoleLog, audit.RoleWitness, audit.RoleGrants, audit.RolePlaces}

// handOut says who must be told of a role's next key.
var handOut = map[string]string{
	audit.RoleLog: "edges follow by themselves and \"audit verify\" goes on with the old trust file; " +
		"put the controller's new log.vkey into the keys of new edges and into new trust files",
	audit.RoleGrants: "edges follow by themselves; put the controller's new grants.vkey into the keys of new edges",
	audit.RoleWitness: "restart the edge to let it sign with the new key; give the controller %s as the site's witness, " +
		"and put it into new trust files; then revoke the old key, or let it count until you do",
	audit.RolePlaces: "sign the place table with %s and hand the table out with the verifier key beside that, to the " +
		"controller and every edge, under places.keys; then \"burstctl reload\"",
}

func keysRotate() *cobra.Command {
	var k caller
	var site, dir string
	c := &cobra.Command{
		Use:   "rotate log|witness|grants|places",
		Short: "Hand over to a new key: an entry that the old and the new key sign",
		Long: "The controller rotates its own keys, log and grants, itself while it runs. It takes log.next.key and\n" +
			"log.next.vkey if you have put them there, such as a reference to a key in Vault, and else makes a key. The keys\n" +
			"of a witness and of places are rotated in the folder that holds them, named with --dir. Old keys are kept\n" +
			"beside the new ones, as superseded.",
		Args: cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs), ValidArgs: keyRoles,
		RunE: func(c *cobra.Command, args []string) error {
			client, err := k.client(c.Context())
			if err != nil {
				return err
			}
			role := args[0]
			if role == audit.RoleLog || role == audit.RoleGrants {
				if err := client.Do(c.Context(), control.ActionRotate, "rotate "+role, ""); err != nil {
					return refusal(err)
				}
				fmt.Fprintf(c.ErrOrStderr(), "rotated: %s\n", handOut[role])
				return nil
			}
			return rotateHere(c, client, role, site, dir)
		},
	}
	k.flags(c)
	c.Flags().StringVar(&site, "site", "", "the site of the witness")
	c.Flags().StringVar(&dir, "dir", "", "folder of the key; keys/edge-SITE or keys/office if not given")
	return c
}

// rotateHere rotates a key that lies in a folder here: it signs the change,
// has it entered, and puts the new key in place.
func rotateHere(c *cobra.Command, client *control.Client, role, site, dir string) error {
	path, err := keyHere(role, site, dir)
	if err != nil {
		return err
	}
	old, err := keys.Open(path, role)
	if err != nil {
		return frame.Wrap(frame.KeyMissing, err, "name the folder with --dir")
	}
	file, err := keys.Prepare(path, role, old.VKey)
	if err != nil {
		return frame.Wrap(frame.FileFailed, err, "")
	}
	next, err := keys.Open(file, role)
	if err != nil {
		return frame.Wrap(frame.KeyMissing, err, "")
	}
	at := time.Now().UTC().Truncate(time.Millisecond)
	signed, err := audit.SignChange(at, role, old.Signer, next.Signer, old.VKey, next.VKey)
	if err != nil {
		return err
	}
	if err := client.Do(c.Context(), control.ActionRotate, "rotate "+signed, ""); err != nil {
		return refusal(err)
	}
	if err := keys.Adopt(path, old.VKey); err != nil {
		return frame.Wrap(frame.FileFailed, err, "the change is entered: rename the next key into place by hand")
	}
	say := handOut[role]
	if role == audit.RoleWitness {
		say = fmt.Sprintf(say, keys.Public(path))
	} else {
		say = fmt.Sprintf(say, path)
	}
	fmt.Fprintf(c.ErrOrStderr(), "rotated: %s\n", say)
	return nil
}

// keyHere is the file of a role's key in a folder of keys init.
func keyHere(role, site, dir string) (string, error) {
	if role == audit.RolePlaces {
		if dir == "" {
			dir = filepath.Join("keys", "office")
		}
		return filepath.Join(dir, "places.key"), nil
	}
	if site == "" && dir == "" {
		return "", &frame.Problem{Code: frame.Usage, What: "rotate witness", Err: errors.New("no site"),
			Fix: "name it with --site"}
	}
	if dir == "" {
		dir = filepath.Join("keys", "edge-"+site)
	}
	return filepath.Join(dir, "witness.key"), nil
}

func keysRevoke() *cobra.Command {
	var k caller
	var site, key, reason string
	c := &cobra.Command{
		Use:   "revoke log|witness|grants|places --reason WHY",
		Short: "End a key that others may know: from the entry on, what it signs does not count",
		Long: "Without --key the key in use is revoked. The controller's own, log and grants, hand over to a new one in\n" +
			"the same act, and bursts with a grant end with their grants key. A witness's or places' key is best rotated\n" +
			"first and then revoked by its old verifier key, which lies beside the new one as superseded.",
		Args: cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs), ValidArgs: keyRoles,
		RunE: func(c *cobra.Command, args []string) error {
			client, err := k.client(c.Context())
			if err != nil {
				return err
			}
			claim := "revoke " + args[0]
			if site != "" {
				claim += "/" + site
			}
			if key != "" {
				vkey, err := keys.VKey(key)
				if err != nil {
					return frame.Wrap(frame.KeyMissing, err, "")
				}
				claim += " " + vkey
			}
			if err := client.Do(c.Context(), control.ActionRotate, claim, reason); err != nil {
				return refusal(err)
			}
			fmt.Fprintln(c.ErrOrStderr(), "revoked: the entry is in the log; edges heed it before they open the next grant")
			return nil
		},
	}
	k.flags(c)
	c.Flags().StringVar(&site, "site", "", "the site of the witness")
	c.Flags().StringVar(&key, "key", "", "file with the verifier key to revoke, if not the one in use")
	c.Flags().StringVar(&reason, "reason", "", "why; entered in the log, so no personal data")
	_ = c.MarkFlagRequired("reason")
	return c
}

// keysPublic prints the verifier key of a key file: of a reference to Vault,
// what must lie beside it.
func keysPublic() *cobra.Command {
	var name, role string
	c := &cobra.Command{
		Use:   "public FILE.key",
		Short: "Print the verifier key of a key file, which may be a reference to a key in Vault",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			held, err := keys.Held(args[0])
			if err != nil {
				return frame.Wrap(frame.KeyMissing, err, "")
			}
			if held {
				k, err := keys.Open(args[0], role)
				if err != nil {
					return frame.Wrap(frame.KeyMissing, err, "")
				}
				_, err = fmt.Fprintln(c.OutOrStdout(), k.VKey)
				return err
			}
			ref, err := configs.ReadTransit(args[0])
			if err != nil {
				return frame.Wrap(frame.BadConfig, err, "")
			}
			if strings.TrimSpace(name) == "" {
				return &frame.Problem{Code: frame.Usage, What: "print verifier key", Err: errors.New("no name"),
					Fix: "name its holder with --name: the origin of the log, or the domain with /grants"}
			}
			vkey, err := vault.TransitPublic(c.Context(), transitConfig(ref, slog.New(slog.DiscardHandler)), ref.Key, name)
			if err != nil {
				return frame.Wrap(cmp.Or(codeOf(err), frame.KeyMissing), err, "")
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), vkey)
			return err
		},
	}
	c.Flags().StringVar(&name, "name", "", "the holder's name, for a key in Vault")
	c.Flags().StringVar(&role, "role", audit.RoleLog, "what the key is for: log, witness, grants or places")
	return c
}
