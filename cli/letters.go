package cli

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"deskbridge/app"
	"deskbridge/bridge"
)

type lettersCmd struct {
	List  lettersListCmd  `cmd:"" help:"List messages that Zammad refused for good; never what they say."`
	Show  lettersShowCmd  `cmd:"" help:"Show all about one but what it says."`
	Retry lettersRetryCmd `cmd:"" help:"Send them again, behind what already waits in their chats."`
	Drop  lettersDropCmd  `cmd:"" help:"Forget them; on the device they stay failed."`
}

// lettersOf lists the letters of a region, or of all.
func (s *invocation) lettersOf(a *app.App, region string) ([]bridge.Letter, error) {
	id, err := regionID(a, region)
	if err != nil {
		return nil, err
	}
	letters, err := a.Store.Letters(s.ctx, bridge.LetterQuery{Region: id})
	if err != nil {
		return nil, fmt.Errorf("read letters: %w", err)
	}
	return letters, nil
}

// regionID gives the id of a region by its slug; 0, which is all, without one.
func regionID(a *app.App, slug string) (bridge.RegionID, error) {
	if slug == "" {
		return 0, nil
	}
	region, known := a.Regions.BySlug(slug)
	if !known {
		return 0, coded(ExitNotFound, fmt.Errorf("there is no region %q", slug))
	}
	return region.ID, nil
}

type lettersListCmd struct {
	Region string `help:"Only of this region." placeholder:"SLUG"`
	JSON   bool   `name:"json" help:"Print as JSON."`
}

// Run lists the letters, oldest first.
func (c *lettersListCmd) Run(s *invocation) error {
	return s.withApp(func(a *app.App) error {
		letters, err := s.lettersOf(a, c.Region)
		if err != nil {
			return err
		}
		if c.JSON {
			if letters == nil {
				letters = []bridge.Letter{}
			}
			return s.printJSON(letters)
		}
		if len(letters) == 0 {
			s.printf("There are no dead letters: everything that was accepted is in Zammad or on its way.\n")
			return nil
		}
		t := s.table("ID", "REGION", "CHAT", "KIND", "AGE", "TRIES", "CODE", "ERROR ID", "REASON")
		for _, l := range letters {
			t.row(strconv.FormatInt(int64(l.ID), 10), l.Region, strconv.FormatInt(int64(l.Chat), 10), string(l.Kind), age(time.Since(l.SentAt)),
				strconv.Itoa(l.Attempts), l.Code, cmp.Or(printable(l.ErrorID), "-"), printable(l.Reason))
		}
		return t.flush()
	})
}

type lettersShowCmd struct {
	ID   bridge.WorkID `arg:"" help:"The letter, as the list numbers it."`
	JSON bool          `name:"json" help:"Print as JSON."`
}

// Run shows one letter.
func (c *lettersShowCmd) Run(s *invocation) error {
	return s.withApp(func(a *app.App) error {
		letters, err := s.lettersOf(a, "")
		if err != nil {
			return err
		}
		i := slices.IndexFunc(letters, func(l bridge.Letter) bool { return l.ID == c.ID })
		if i < 0 {
			return bridge.ErrLetterUnknown
		}
		l := letters[i]
		if c.JSON {
			return s.printJSON(l)
		}
		ticket := "none"
		if region, ok := a.Regions.BySlug(l.Region); ok && l.Ticket != 0 {
			ticket = a.Desk.TicketURL(region, l.Ticket)
		}
		t := s.table()
		for _, line := range [][2]string{
			{"letter", strconv.FormatInt(int64(l.ID), 10)}, {"region", l.Region}, {"chat", strconv.FormatInt(int64(l.Chat), 10)}, {"ticket", ticket},
			{"kind", string(l.Kind)}, {"sent at", moment(l.SentAt)}, {"tries", strconv.Itoa(l.Attempts)}, {"code on the device", l.Code},
			{"reason", printable(l.Reason)}, {"error id", cmp.Or(printable(l.ErrorID), "none")},
		} {
			t.row(line[0]+":", line[1])
		}
		return t.flush()
	})
}

type lettersRetryCmd struct {
	ID     []bridge.WorkID `arg:"" optional:"" help:"The letters, as the list numbers them."`
	All    bool            `help:"All of them, or all of --region, oldest first."`
	Region string          `help:"With --all: only of this region." placeholder:"SLUG"`
}

// Validate says whether it is clear which letters are meant.
func (c *lettersRetryCmd) Validate() error {
	if c.All == (len(c.ID) > 0) || c.Region != "" && !c.All {
		return errors.New("name letters by their ids, or say --all, with --region or without")
	}
	return nil
}

// Run puts letters back into their lanes.
func (c *lettersRetryCmd) Run(s *invocation) error {
	return s.withApp(func(a *app.App) error {
		ids := c.ID
		if c.All {
			letters, err := s.lettersOf(a, c.Region)
			if err != nil {
				return err
			}
			for _, l := range letters {
				ids = append(ids, l.ID)
			}
		}
		queued, err := inSteps(ids, bridge.ErrLetterUnknown, func(ids []bridge.WorkID) (int, error) {
			return a.Store.RetryLetters(s.ctx, 0, ids, time.Now())
		})
		s.printf("%s queued again.\n", messages(queued))
		return missing(err, !c.All && queued < len(ids), bridge.ErrLetterUnknown)
	})
}

type lettersDropCmd struct {
	ID []bridge.WorkID `arg:"" help:"The letters, as the list numbers them."`
}

// Run forgets letters.
func (c *lettersDropCmd) Run(s *invocation) error {
	return s.withApp(func(a *app.App) error {
		dropped, err := inSteps(c.ID, bridge.ErrLetterUnknown, func(ids []bridge.WorkID) (int, error) {
			return a.Store.DropLetters(s.ctx, 0, ids, time.Now())
		})
		s.printf("%s dropped; on the device they stay failed.\n", messages(dropped))
		return missing(err, dropped < len(c.ID), bridge.ErrLetterUnknown)
	})
}

// step is how many letters or deliveries are changed in one transaction: each
// holds a device, and devices write between the steps.
const step = 100

// inSteps changes many things, and gives how many there were. That a step met
// none of them (the error is unknown then) ends nothing.
func inSteps[T any](ids []T, unknown error, change func(ids []T) (int, error)) (int, error) {
	sum := 0
	for some := range slices.Chunk(ids, step) {
		n, err := change(some)
		if err != nil && !errors.Is(err, unknown) {
			return sum, err
		}
		sum += n
	}
	return sum, nil
}

// missing gives the error of changing many things, of which some may not have been there.
func missing(err error, some bool, unknown error) error {
	if err == nil && some {
		return fmt.Errorf("of some of them: %w", unknown)
	}
	return err
}

func messages(n int) string {
	if n == 1 {
		return "1 message"
	}
	return fmt.Sprintf("%d messages", n)
}

// age tells a span in its largest unit.
func age(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d d", d/(24*time.Hour))
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d h", d/time.Hour)
	default:
		return fmt.Sprintf("%d min", max(d, 0)/time.Minute)
	}
}

// printable keeps another server's words on one line, and harmless on a terminal.
func printable(text string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return ' '
		}
		return c
	}, text)
}
