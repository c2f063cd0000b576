// Package gate decides which devices are served: pure, deterministic, without
// I/O. The same device gets the same answer on every instance, nobody drops out
// when the percentage rises, and no question writes anything.
package gate

// Override is an admin's word on one device, which goes before the draw.
type Override string

// The overrides: none (the draw decides), always in, always out.
const (
	OverrideNone Override = ""
	OverrideIn   Override = "in"
	OverrideOut  Override = "out"
)

// Reason says which rule decided. The values are stable.
type Reason string

// The reasons, in the order in which the rules are asked.
const (
	ReasonRegionOff   Reason = "region_off"
	ReasonOverride    Reason = "override"
	ReasonRunningChat Reason = "running_chat"
	ReasonSticky      Reason = "sticky"
	ReasonAppVersion  Reason = "app_version"
	ReasonLanguage    Reason = "language"
	ReasonBucket      Reason = "bucket"
)
