package main

import (
	"maps"
	"slices"

	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
)

// registry tells Vault which engines are compiled in; without one the first
// mount panics.
type registry map[consts.PluginType]map[string]logical.Factory

// Contains reports whether name is compiled in.
func (r registry) Contains(name string, t consts.PluginType) bool {
	_, ok := r[t][name]
	return ok
}

// Get returns a constructor of the factory, as Vault's loader wants it.
func (r registry) Get(name string, t consts.PluginType) (func() (any, error), bool) {
	f, ok := r[t][name]
	return func() (any, error) { return f, nil }, ok
}

// Keys lists what is compiled in.
func (r registry) Keys(t consts.PluginType) []string {
	return slices.Sorted(maps.Keys(r[t]))
}

// DeprecationStatus says that whatever is here is supported.
func (r registry) DeprecationStatus(name string, t consts.PluginType) (consts.DeprecationStatus, bool) {
	return consts.Supported, r.Contains(name, t)
}

// IsBuiltinEntPlugin is always false: nothing here is of the enterprise build.
func (r registry) IsBuiltinEntPlugin(string, consts.PluginType) bool { return false }
