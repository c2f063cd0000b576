package bridge

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"deskbridge/gate"
)

// Why is the gate's answer about one device, with everything that it is made of.
type Why struct {
	Decision gate.Decision
	Steps    []gate.Step // the rules in the order in which they are asked
	Rules    gate.Rules  // that are in force
	Subject  gate.Subject
	Tester   Tester // zero: nobody has set anything
	// ServedFrom is when the region's ramp reaches the device, if the draw keeps
	// it out now; zero: never.
	ServedFrom time.Time
	Zone       *time.Location // in which times are told
}

// AskWhy asks the gate about a device without leaving a trace, and keeps all that
// led to the answer. The error is the store's.
func AskWhy(ctx context.Context, store interface {
	Standing(ctx context.Context, r *Region, d DeviceHash, now time.Time) (Standing, error)
	Tester(ctx context.Context, r RegionID, d DeviceHash, now time.Time) (Tester, error)
}, r *Region, d DeviceHash, language, appVersion string, now time.Time) (Why, error) {
	standing, err := store.Standing(ctx, r, d, now)
	if err != nil {
		return Why{}, err
	}
	w := Why{Rules: r.GateRules(now), Subject: subject(d, standing, language, appVersion), Zone: r.Settings.Reception.Zone.Location()}
	if standing.Override != gate.OverrideNone {
		if w.Tester, err = store.Tester(ctx, r.ID, d, now); err != nil && !errors.Is(err, ErrTesterUnknown) {
			return Why{}, err
		}
	}
	w.Decision, w.Steps = gate.Explain(w.Rules, w.Subject)
	if w.Decision.Reason == gate.ReasonBucket && !w.Decision.Served {
		for _, step := range r.Settings.Ramp {
			then := w.Rules
			then.Percentage = step.Percentage
			if step.At.After(now) && gate.Decide(then, w.Subject).Served {
				w.ServedFrom = step.At
				break
			}
		}
	}
	return w, nil
}

// Say gives a step in a sentence that a region's admin understands, in German
// ("de") or else English. A step that was not asked is empty, but for the draw,
// which every device has.
func (w Why) Say(step gate.Step, language string) string {
	say := inEnglish
	if language == "de" {
		say = inGerman
	}
	if step.Verdict == gate.NotAsked && step.Reason != gate.ReasonBucket {
		return ""
	}
	switch step.Reason {
	case gate.ReasonOverride:
		return say.override(w, step.Verdict)
	case gate.ReasonAppVersion:
		return say.version(w, step.Verdict)
	case gate.ReasonLanguage:
		return say.language(w, step.Verdict)
	case gate.ReasonBucket:
		return say.draw(w, step.Verdict)
	}
	return say.plain[step]
}

// whyWords are the sentences of one language.
type whyWords struct {
	plain map[gate.Step]string // those without anything to fill in

	nobodySet, setIn, setOut, until, forever string // who and when; when it ends

	anyVersion, noVersion, newVersion, oldVersion string
	anyLanguage, noLanguage, goodLanguage         string
	otherLanguage                                 string

	drawn, isIn, isOut, ramp, unasked string
	date                              string
	comma                             bool // decimals
}

var inEnglish = &whyWords{
	plain: map[gate.Step]string{
		{Reason: gate.ReasonRegionOff, Verdict: gate.Passed}:   "The region's chat is switched on.",
		{Reason: gate.ReasonRegionOff, Verdict: gate.Out}:      "The region is switched off or has no Zammad: nobody gets the chat.",
		{Reason: gate.ReasonRunningChat, Verdict: gate.Passed}: "The device has no running chat.",
		{Reason: gate.ReasonRunningChat, Verdict: gate.In}:     "The device has a running chat. A conversation is never cut off.",
		{Reason: gate.ReasonSticky, Verdict: gate.Passed}:      "The device has never opened a chat here.",
		{Reason: gate.ReasonSticky, Verdict: gate.In}:          "The device has opened a chat here before, and keeps it.",
	},
	nobodySet: "Nobody has set anything for this device.",
	setIn:     "%s took this device in on %s, %s.", setOut: "%s kept this device out on %s, %s.", until: "until %s", forever: "without an end",
	anyVersion: "The region asks for no particular version of the app.", noVersion: "The app told no version that can be read: the minimum version %s does not count then.",
	newVersion: "The version %s of the app is new enough (at least %s).", oldVersion: "The version %s of the app is older than %s, which the region asks for.",
	anyLanguage: "The region serves all languages.", noLanguage: "The question named no language: the rule about languages (%s) does not count then.",
	goodLanguage: "The language %s is one that is served (%s).", otherLanguage: "The language %s is not one that is served (%s).",
	drawn: "In the draw the device got number %d of 10,000. It is in as soon as %s %% of the devices are served; now it is %s %%: ",
	isIn:  "in.", isOut: "out.", ramp: " By the plan it is in from %s on.", unasked: "Not asked any more. ",
	date: "2 January 2006, 15:04 MST",
}

var inGerman = &whyWords{
	plain: map[gate.Step]string{
		{Reason: gate.ReasonRegionOff, Verdict: gate.Passed}:   "Der Chat der Region ist eingeschaltet.",
		{Reason: gate.ReasonRegionOff, Verdict: gate.Out}:      "Die Region ist ausgeschaltet oder hat kein Zammad: Niemand bekommt den Chat.",
		{Reason: gate.ReasonRunningChat, Verdict: gate.Passed}: "Das Gerät hat keinen laufenden Chat.",
		{Reason: gate.ReasonRunningChat, Verdict: gate.In}:     "Das Gerät hat einen laufenden Chat. Ein Gespräch wird nie abgebrochen.",
		{Reason: gate.ReasonSticky, Verdict: gate.Passed}:      "Das Gerät hat hier noch nie einen Chat begonnen.",
		{Reason: gate.ReasonSticky, Verdict: gate.In}:          "Das Gerät hat hier schon einmal einen Chat begonnen und behält ihn.",
	},
	nobodySet: "Für dieses Gerät hat niemand etwas festgelegt.",
	setIn:     "%s hat dieses Gerät am %s hereingenommen, %s.", setOut: "%s hat dieses Gerät am %s ausgeschlossen, %s.", until: "bis %s", forever: "ohne Ende",
	anyVersion: "Die Region verlangt keine bestimmte Version der App.", noVersion: "Die App hat keine lesbare Version genannt: Dann zählt die Mindestversion %s nicht.",
	newVersion: "Die Version %s der App ist neu genug (mindestens %s).", oldVersion: "Die Version %s der App ist älter als %s, die die Region verlangt.",
	anyLanguage: "Die Region bedient alle Sprachen.", noLanguage: "Die Frage nannte keine Sprache: Dann zählt die Regel für Sprachen (%s) nicht.",
	goodLanguage: "Die Sprache %s wird bedient (%s).", otherLanguage: "Die Sprache %s wird nicht bedient (%s).",
	drawn: "Bei der Auslosung hat das Gerät die Nummer %d von 10.000 bekommen. Es ist dabei, sobald %s %% der Geräte bedient werden; jetzt sind es %s %%: ",
	isIn:  "dabei.", isOut: "nicht dabei.", ramp: " Nach dem Plan ist es ab %s dabei.", unasked: "Wird nicht mehr gefragt. ",
	date: "02.01.2006, 15:04 MST", comma: true,
}

func (l *whyWords) override(w Why, v gate.Verdict) string {
	if v == gate.Passed {
		return l.nobodySet
	}
	sentence, end := l.setOut, l.forever
	if v == gate.In {
		sentence = l.setIn
	}
	if t := w.Tester.ExpiresAt; !t.IsZero() {
		end = fmt.Sprintf(l.until, l.at(w, t))
	}
	by := w.Tester.SetBy
	if by == "" {
		by = "?" // set before it was kept
	}
	return fmt.Sprintf(sentence, by, l.at(w, w.Tester.SetAt), end)
}

func (l *whyWords) version(w Why, v gate.Verdict) string {
	least, version := w.Rules.MinAppVersion, w.Subject.AppVersion
	switch {
	case v == gate.Out:
		return fmt.Sprintf(l.oldVersion, version, least)
	case least == "":
		return l.anyVersion
	case !gate.ValidVersion(version):
		return fmt.Sprintf(l.noVersion, least)
	}
	return fmt.Sprintf(l.newVersion, version, least)
}

func (l *whyWords) language(w Why, v gate.Verdict) string {
	served := strings.Join(w.Rules.Languages, ", ")
	switch {
	case v == gate.Out:
		return fmt.Sprintf(l.otherLanguage, w.Subject.Language, served)
	case served == "":
		return l.anyLanguage
	case w.Subject.Language == "":
		return fmt.Sprintf(l.noLanguage, served)
	}
	return fmt.Sprintf(l.goodLanguage, w.Subject.Language, served)
}

func (l *whyWords) draw(w Why, v gate.Verdict) string {
	bucket := w.Decision.Bucket
	threshold := float64(bucket+1) / (gate.Buckets / 100)
	text := fmt.Sprintf(l.drawn, bucket, l.number(threshold), l.number(w.Rules.Percentage))
	if gate.DrawServes(w.Rules.Percentage, bucket) {
		text += l.isIn
	} else {
		text += l.isOut
	}
	if v == gate.NotAsked {
		return l.unasked + text
	}
	if !w.ServedFrom.IsZero() {
		text += fmt.Sprintf(l.ramp, l.at(w, w.ServedFrom))
	}
	return text
}

func (l *whyWords) at(w Why, t time.Time) string { return t.In(w.Zone).Format(l.date) }

func (l *whyWords) number(f float64) string {
	text := strconv.FormatFloat(f, 'f', -1, 64)
	if l.comma {
		text = strings.Replace(text, ".", ",", 1)
	}
	return text
}
