package main

import (
	"errors"
	"time"

	"github.com/burstctl/burstctl/configs"
	"github.com/burstctl/burstctl/configs/frame"
	"github.com/burstctl/burstctl/pools"
	"github.com/burstctl/burstctl/pools/cloud/azure"
)

// openAzure opens the driver of a resource group. Nothing is asked of Azure yet:
// a controller starts, and tears down elsewhere, while Azure is away.
func (d *daemon) openAzure(p configs.Driver) (map[string]pools.Driver, error) {
	o, err := azureDriver(d.conf.Domain, d.conf.Lease.Max, p)
	if err != nil {
		return nil, frame.Wrap(frame.BadConfig, err, "")
	}
	drv, err := azure.New(o)
	if err != nil {
		return nil, frame.Wrap(frame.BadConfig, err, "docs/clouds.md says what to set up")
	}
	return map[string]pools.Driver{azure.Provider: drv}, nil
}

// azureDriver are the driver's options from the config file's section.
func azureDriver(domain string, most time.Duration, p configs.Driver) (azure.Options, error) {
	c := p.Azure
	if c == nil {
		return azure.Options{}, errors.New("open provider azure: its section is missing")
	}
	credential, err := azure.NewCredential(c.Credential, c.ClientID)
	if err != nil {
		return azure.Options{}, err
	}
	return azure.Options{Subscription: c.Subscription, Group: c.ResourceGroup, Subnets: c.Subnets, Image: c.Image,
		Owner: domain, Tags: c.Tags, NoTrustedLaunch: !c.TrustedLaunch, HostEncryption: c.HostEncryption,
		Identity: c.Identity, Port: c.Port, Interval: c.Absence,
		UserData: userData(c.Boot, c.Port, most), Credential: credential}, nil
}
