package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	awsconfig "github.com/aws/aws-sdk-go-v2/config"

	"github.com/burstctl/burstctl/configs"
	cloudinit "github.com/burstctl/burstctl/configs/cloud-init"
	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/pools"
	"github.com/burstctl/burstctl/pools/cloud/aws"
)

// openAWS opens the driver of an account. Nothing is asked of AWS yet: a
// controller starts, and tears down elsewhere, while AWS is away.
func (d *daemon) openAWS(p configs.Driver) (map[string]pools.Driver, error) {
	if p.AWS == nil {
		return nil, frame.Wrap(frame.BadConfig, errors.New("open provider aws: its section is missing"), "")
	}
	chain, err := awsconfig.LoadDefaultConfig(context.Background())
	if err != nil {
		return nil, frame.Wrap(frame.BadConfig, fmt.Errorf("open provider aws: %w", err), "")
	}
	drv, err := aws.Open(chain, awsDriver(d.conf.Domain, d.conf.Lease.Max, *p.AWS))
	if err != nil {
		return nil, frame.Wrap(frame.BadConfig, err, "docs/clouds.md says what to set up")
	}
	return map[string]pools.Driver{aws.Provider: drv}, nil
}

// awsDriver are the driver's options from the config file's section.
func awsDriver(domain string, most time.Duration, c configs.AWS) aws.Options {
	o := aws.Options{Owner: domain, Account: c.Account, Regions: map[string]aws.Region{}, Port: c.Port, Absence: c.Absence}
	for name, r := range c.Regions {
		o.Regions[name] = aws.Region{Image: r.Image, Subnets: r.Subnets, SecurityGroups: r.SecurityGroups,
			PublicIP: r.PublicIP, Egress: r.Egress, KMSKey: r.KMSKey, VolumeGB: int32(r.VolumeGB)}
	}
	o.UserData = userData(c.Boot, c.Port, most)
	return o
}

// userData writes what a machine is told at its first boot; nil leaves that to
// the driver, and the rest to the image.
func userData(b *configs.Boot, port int, most time.Duration) func(pools.Launch) ([]byte, error) {
	if b == nil {
		return nil
	}
	site := cloudinit.Site{Program: b.Program, SHA256: b.SHA256, Control: b.Control, Edges: b.Edges,
		Clocks: b.Clocks, Road: uint16(port)}
	return func(l pools.Launch) ([]byte, error) { return cloudinit.Render(l, most, site) }
}
