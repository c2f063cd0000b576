// Package gate decides which devices are served: pure, deterministic, without
// I/O. The same device gets the same answer on every instance, nobody drops out
// when the percentage rises, and no question writes anything.
package gate

import (
	"math"
	"slices"

	"github.com/cespare/xxhash/v2"
)

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

// Buckets is the number of buckets that devices are drawn into: one is a
// hundredth of a percent.
const Buckets = 10_000

// Rules are a region's settings for the gate.
type Rules struct {
	Enabled       bool     // false: nobody is served, whatever the other rules say
	Salt          string   // the region's own; another salt is another draw
	Percentage    float64  // share of devices to serve, 0 to 100; NaN serves nobody
	Languages     []string // serve only these language codes; empty: all
	MinAppVersion string   // serve only apps from this version on; empty or not a version: all
}

// Subject is the device that asks.
type Subject struct {
	Device     [32]byte // keyed hash of the device id
	Override   Override
	Running    bool   // it has a chat that goes on
	Sticky     bool   // it once opened a chat
	Language   string // code; empty, where the question names none, is not restricted
	AppVersion string // as the app says; empty or not a version is not restricted
}

// Decision is the gate's answer. Bucket is the device's place in the draw, 0 to
// Buckets-1, whichever rule decided.
type Decision struct {
	Served bool
	Reason Reason
	Bucket int
}

// Decide asks the rules in the order of the reasons; the first that has a word
// on the device decides. It allocates nothing.
func Decide(r Rules, s Subject) Decision {
	bucket := Bucket(r.Salt, s.Device)
	switch {
	case !r.Enabled:
		return Decision{false, ReasonRegionOff, bucket}
	case s.Override == OverrideIn:
		return Decision{true, ReasonOverride, bucket}
	case s.Override == OverrideOut:
		return Decision{false, ReasonOverride, bucket}
	case s.Running:
		return Decision{true, ReasonRunningChat, bucket}
	case s.Sticky:
		return Decision{true, ReasonSticky, bucket}
	case olderThan(s.AppVersion, r.MinAppVersion):
		return Decision{false, ReasonAppVersion, bucket}
	case s.Language != "" && len(r.Languages) > 0 && !slices.Contains(r.Languages, s.Language):
		return Decision{false, ReasonLanguage, bucket}
	}
	return Decision{DrawServes(r.Percentage, bucket), ReasonBucket, bucket}
}

// Bucket draws a device: the same salt and device always give the same number
// from 0 to Buckets-1. The device comes last and has a fixed length, so no two
// pairs of salt and device are the same bytes.
func Bucket(salt string, device [32]byte) int {
	var d xxhash.Digest
	d.Reset()
	// Neither write can fail.
	_, _ = d.WriteString(salt)
	_, _ = d.Write(device[:])
	return int(d.Sum64() % Buckets)
}

// DrawServes says whether a percentage reaches a bucket.
func DrawServes(percentage float64, bucket int) bool { return float64(bucket) < threshold(percentage) }

// threshold is the first bucket that is not served. Binary fractions make 0.07
// times 100 a little more than 7, which would serve one bucket too many, so that
// noise is taken off before rounding up.
func threshold(percentage float64) float64 {
	const noise = 1e-6
	return math.Ceil(percentage*100 - noise)
}
