package bridge

import (
	"context"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"deskbridge/gate"
)

// Tester is a device whose gate decision an admin has set.
type Tester struct {
	// ID names the override to people: lists never name the device, and its hash
	// must not leave either, since it is the same in logs and everywhere. An
	// override that is set anew has a new number, so a page that is out of date
	// cannot take back what somebody else has set meanwhile.
	ID        int64
	Device    DeviceHash
	Override  gate.Override
	ExpiresAt time.Time // from then on it counts as none; zero: never
	Note      string    // why, for colleagues; see CleanNote
	SetAt     time.Time
	SetBy     string // name of the actor, at that time
}

// MaxTesterNote is the longest note of a Tester, in characters.
const MaxTesterNote = 200

// CleanNote makes a note one line without control characters, and says false if
// it is then longer than MaxTesterNote or was no UTF-8.
func CleanNote(note string) (string, bool) {
	if !utf8.ValidString(note) {
		return "", false
	}
	note = strings.Map(func(c rune) rune {
		switch {
		case unicode.IsSpace(c):
			return ' '
		case unicode.IsControl(c) || unicode.Is(unicode.Bidi_Control, c) || noncharacter(c):
			return -1
		}
		return c
	}, note)
	note = strings.Join(strings.Fields(note), " ")
	return note, utf8.RuneCountInString(note) <= MaxTesterNote
}

// TesterQuery asks for a page of overrides that count at a time, the newest first.
type TesterQuery struct {
	Region RegionID
	Now    time.Time
	Before int64 // only ids below it, for paging; 0: from the newest
	Limit  int
}

// TesterStore keeps overrides, and knows on which devices other rules can be tried.
type TesterStore interface {
	// SetTesters sets overrides, all or none of them; gate.OverrideNone removes
	// one. The store fills in ID and SetBy (the context's actor); SetAt is the
	// caller's now.
	SetTesters(ctx context.Context, r RegionID, t ...Tester) error
	// ClearTester removes the override with this id. The error is
	// ErrTesterUnknown if there is none.
	ClearTester(ctx context.Context, r RegionID, id int64) error
	// Tester finds the override of a device. The error is ErrTesterUnknown if
	// none counts at this time.
	Tester(ctx context.Context, r RegionID, d DeviceHash, now time.Time) (Tester, error)
	Testers(ctx context.Context, q TesterQuery) ([]Tester, error)
	// KnownDevices gives what the gate must know of devices that were told a
	// decision or had a message since a time, each once. It reads up to limit
	// decisions and limit chats, the newest, and says whether there are more.
	KnownDevices(ctx context.Context, r *Region, since, now time.Time, limit int) (known []KnownDevice, more bool, err error)
}

// KnownDevice is a device with what it asked last.
type KnownDevice struct {
	Device     DeviceHash
	Standing   Standing
	Language   string // empty: it named none
	AppVersion string
}
