// Command ec2test serves Canonical's EC2 test server (gopkg.in/amz.v3/ec2/ec2test)
// on loopback, once for each region that its argument counts.
//
// It prints the addresses, a line each, and ends when its standard input does.
//
// # Non-goals
//
// It adds nothing to the server: what real EC2 does and that one does not is in
// pools/cloud/aws/awstest. No product imports it; README.md says why.
package main

import (
	"fmt"
	"io"
	"os"
	"strconv"

	"gopkg.in/amz.v3/ec2/ec2test"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run serves until standard input ends.
func run() error {
	if len(os.Args) != 2 {
		return fmt.Errorf("usage: ec2test REGIONS")
	}
	n, err := strconv.Atoi(os.Args[1])
	if err != nil {
		return fmt.Errorf("read the number of regions: %w", err)
	}
	for range n {
		s, err := ec2test.NewServer()
		if err != nil {
			return fmt.Errorf("start a region: %w", err)
		}
		s.SetInitialInstanceState(ec2test.Pending)
		fmt.Println(s.URL())
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}
