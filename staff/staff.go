// Package staff is about the people who run chats: who they are, what each may
// do, and how they prove it. It knows neither HTTP nor SQL.
package staff

import (
	"slices"
	"time"

	"deskbridge/bridge"
)

// ID is the number of a person.
type ID int64

// Role says what a person may do.
type Role string

// The roles: operators may do everything everywhere; region admins change and
// viewers read their own regions.
const (
	Operator    Role = "operator"
	RegionAdmin Role = "admin"
	Viewer      Role = "viewer"
)

// Right is what a page or a call of the console needs.
type Right string

// The rights: none, to be signed in at all, to read a region, to change a region,
// to run the installation.
const (
	Anybody  Right = "anybody"
	SignedIn Right = "signed-in"
	Read     Right = "read"
	Change   Right = "change"
	Operate  Right = "operate"
)

// Person is somebody who may sign in. Values are handed around read-only.
type Person struct {
	ID         ID
	Login      string // lower case, unique; often an e-mail address
	Name       string // as colleagues see it
	Role       Role
	Regions    []bridge.RegionID // of region admins and viewers
	Language   string            // of the console, "de" or "en"; empty: the browser's
	Disabled   bool
	CreatedAt  time.Time
	SignedInAt time.Time // zero: never
}

// May says whether the person has a right in a region. Read and Change ask for
// the region; SignedIn and Operate don't look at it.
func (p *Person) May(right Right, region bridge.RegionID) bool {
	if p == nil || p.Disabled {
		return right == Anybody
	}
	switch right {
	case Anybody:
		return true
	case SignedIn:
		return true
	case Read:
		return p.Role == Operator || (p.Role == RegionAdmin || p.Role == Viewer) && slices.Contains(p.Regions, region)
	case Change:
		return p.Role == Operator || p.Role == RegionAdmin && slices.Contains(p.Regions, region)
	case Operate:
		return p.Role == Operator
	default:
		return false
	}
}

// Sees gives those of the regions that the person may read.
func (p *Person) Sees(all []*bridge.Region) []*bridge.Region {
	var seen []*bridge.Region
	for _, r := range all {
		if p.May(Read, r.ID) {
			seen = append(seen, r)
		}
	}
	return seen
}

// Actor is the person as the audit names it.
func (p *Person) Actor() bridge.Actor {
	return bridge.Actor{Kind: bridge.ActorPerson, ID: int64(p.ID), Name: p.Login}
}
