package policy

// Closed says why nothing in a scope is asked for now.
type Closed struct {
	Kind string // KindQuota or KindCapacity
	Why  string
}
