package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/tunnel"
)

// envReport names the pipe that a job on a node reports by.
const envReport = "BURST_REPORT"

// reportCommand tells the progress of the job it is called in.
func reportCommand() *cobra.Command {
	var epoch, epochs int
	var samples int64
	var watts float64
	var metric string
	c := &cobra.Command{
		Use:   "report --epoch N",
		Short: "Report progress from within a job on a node",
		Long: "Report writes one line to the pipe that $" + envReport + " names on a node, which enters it in the log.\n" +
			"A job without this program writes the line itself:\n\n" +
			"  echo \"epoch=3 epochs=10 samples=50000 watts=212.5 loss=0.12\" >> \"$" + envReport + "\"\n\n" +
			"Only the epoch is needed. Samples are those seen since the job began, watts what its GPUs\n" +
			"drew since the last report. Costs per epoch and sample follow from it: burstctl cost --units.",
		Example: "  burstctl report --epoch 3 --metric loss=0.12",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			words := []string{fmt.Sprintf("epoch=%d", epoch)}
			for _, f := range []struct {
				name  string
				value any
			}{{"epochs", epochs}, {"samples", samples}, {"watts", watts}} {
				if c.Flags().Changed(f.name) {
					words = append(words, fmt.Sprintf("%s=%v", f.name, f.value))
				}
			}
			if metric != "" {
				words = append(words, metric)
			}
			line := strings.Join(words, " ")
			if _, err := tunnel.ParseProgress(line); err != nil {
				return frame.Wrap(frame.Usage, err, "")
			}
			return frame.Wrap(frame.FileFailed, post(os.Getenv(envReport), line), "")
		},
	}
	c.Flags().IntVar(&epoch, "epoch", 0, "the epoch that was finished, from 1")
	c.Flags().IntVar(&epochs, "epochs", 0, "how many there will be")
	c.Flags().Int64Var(&samples, "samples", 0, "samples seen since the job began")
	c.Flags().Float64Var(&watts, "watts", 0, "power drawn by the GPUs since the last report")
	c.Flags().StringVar(&metric, "metric", "", "one figure by its name, as loss=0.12")
	_ = c.MarkFlagRequired("epoch")
	return c
}

// post writes a line to the pipe, whole.
func post(path, line string) error {
	if path == "" {
		return errors.New("report progress: $" + envReport + " is not set; it is on a node, within a job")
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|syscall.O_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("report progress: %w", err)
	}
	_, err = f.WriteString(line + "\n")
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("report progress: %w", err)
	}
	return nil
}
