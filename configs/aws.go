package configs

import (
	"net/netip"
	"time"
)

// AWS is an account to make instances in; pools/cloud/aws says more. Whose
// credentials are used is the SDK's own chain; no key holds one.
type AWS struct {
	Account string // 12 digits; other credentials are refused
	Regions map[string]AWSRegion
	Port    int
	Absence time.Duration // between two observations that nothing was made
	Boot    *Boot         // nil: the image starts the agent by itself
}

// AWSRegion is what instances are made of in a region.
type AWSRegion struct {
	Image          string   // "ami-…" or "ssm:/path"
	Subnets        []string // "subnet-…" or "tag:KEY=VALUE"
	SecurityGroups []string // "sg-…" or "tag:KEY=VALUE"
	PublicIP       bool
	Egress         []netip.Prefix // of the site
	KMSKey         string         `json:"kms_key"`
	VolumeGB       int            `json:"volume_gb"`
}

// Boot is what machines of a cloud are told by cloud-init: configs/cloud-init says more.
type Boot struct {
	Program string           // https URL of burstctl
	SHA256  string           `json:"sha256"`
	Control []netip.AddrPort // of the control endpoint
	Edges   []netip.Prefix   // from where the edge dials
	Clocks  []netip.Addr     // NTP servers; none: the provider's own
}
