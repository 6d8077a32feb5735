// Package traces holds the recorded day that the demonstration and the scenarios replay.
//
// The day is an excerpt of Microsoft's Philly trace (Jeon et al., ATC 2019),
// published under CC-BY-4.0 (LICENSE-philly.txt); philly_day.csv.prov.json says
// where it comes from and what was changed.
package traces

import _ "embed"

// PhillyDay holds the jobs of one virtual cluster that ran on one day, those begun
// before it included: CSV with the header job_id,submit_s,duration_s,gpus,vc, times
// in seconds since [PhillyEpoch]. The bytes are shared: do not write to them.
//
//go:embed philly_day.csv
var PhillyDay []byte

// What the day is, in words that the demonstration prints.
const (
	PhillyEpoch = "2017-09-04T00:00:00Z" // zero of submit_s; the trace's local time, its zone is not stated
	PhillyDate  = "2017-10-20T00:00:00Z" // midnight of the day, in the same time
	PhillyVC    = "ed69ec"               // the virtual cluster (queue) of the jobs
	PhillyGPUs  = 8                      // given to the queue, one host; the trace does not say how many it had
	PhillyTitle = "Philly trace (Microsoft, 2017), queue ed69ec, Friday 2017-10-20, given 8 GPUs"
	// PhillyChoice says how the day was chosen, so that anyone can choose it again.
	PhillyChoice = "of all queues and days from 2017-09-24 to 2017-12-11 " +
		"with at most 100 jobs, none larger than 8 GPUs: " +
		"the steepest rise of demand within an hour that begins between 06:00 and 18:00 with 2 to 6 GPUs in use " +
		"and leaves demand above 16 GPUs until midnight (from 4 to 44 GPUs at 07:40)"
	PhillyCredit = "Jeon et al., Analysis of Large-Scale Multi-Tenant GPU Clusters " +
		"for DNN Training Workloads, ATC 2019; CC-BY-4.0; changed: an excerpt, re-encoded"
)
