// Command burstctl decides on bursts, runs them, and shows that it kept the rules.
package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/burstctl/burstctl/configs/doctor"
	"github.com/burstctl/burstctl/configs/frame"
)

func main() { os.Exit(frame.Main(root)) }

// root lists the verbs, one file each.
func root() *cobra.Command {
	verbs := func(vs ...func() *cobra.Command) []func() *cobra.Command { return vs }
	return frame.Root("burstctl", "Burst GPU jobs to clouds where the data is allowed to be, and prove it",
		frame.Group{Title: "Try it", Verbs: verbs(demoCommand)},
		frame.Group{Title: "Run it",
			Verbs: verbs(controllerCommand, nodeCommand, nodeHostCommand, edgeCommand, trainCommand, reportCommand,
				doctor.Command("controller.yaml", checkController))},
		frame.Group{Title: "Ask",
			Verbs: verbs(submitCommand, statusCommand, whyCommand, planCommand, applyCommand,
				catalogCommand, artefactsCommand)},
		frame.Group{Title: "Act", Verbs: verbs(
			revokeCommand, recallCommand, breakGlassCommand, releaseCommand, reloadCommand)},
		frame.Group{Title: "Clean up", Verbs: verbs(sweepCommand, reapCommand)},
		frame.Group{Title: "Prove", Verbs: verbs(
			residencyCommand, placesCommand, auditCommand, costCommand, attestCommand, keysCommand)},
	)
}
