package frame

import (
	"fmt"
	"io"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// Version says which source a binary was built from. Made by [BuildVersion];
// an empty Commit means that the build did not know.
type Version struct {
	Version string `json:"version"` // module version, "(devel)" in a checkout
	Commit  string `json:"commit"`  // full hash
	Time    string `json:"time"`    // of the commit, RFC 3339
	Dirty   bool   `json:"dirty"`   // built with uncommitted changes
	Go      string `json:"go"`
	API     string `json:"api"` // version of -o json
}

// BuildVersion reads what the Go toolchain stamped into the binary.
func BuildVersion() Version {
	v := Version{API: APIVersion}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	v.Version, v.Go = info.Main.Version, info.GoVersion
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Commit = s.Value
		case "vcs.time":
			v.Time = s.Value
		case "vcs.modified":
			v.Dirty = s.Value == "true"
		}
	}
	return v
}

// String is one line: "v0.1.0 commit 1a2b3c4 (dirty) go1.26.8".
func (v Version) String() string {
	commit, dirty := v.Commit, ""
	if commit == "" {
		commit = "unknown"
	}
	if v.Dirty {
		dirty = " (dirty)"
	}
	return fmt.Sprintf("%s commit %.12s%s %s", v.Version, commit, dirty, v.Go)
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Say which source this binary was built from",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			v := BuildVersion()
			return Print(c.OutOrStdout(), FormatOf(c), "Version", v, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "%s %s\n", c.Root().Name(), v)
				return err
			})
		},
	}
}
