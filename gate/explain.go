package gate

// Verdict is what a rule said of a device.
type Verdict string

// The verdicts: the rule had no word on the device and the next one was asked, it
// let the device in, it kept it out, or a rule before it had decided already.
const (
	Passed   Verdict = "passed"
	In       Verdict = "in"
	Out      Verdict = "out"
	NotAsked Verdict = "not_asked"
)

// Step is one rule with its verdict.
type Step struct {
	Reason  Reason
	Verdict Verdict
}

// Explain gives Decide's answer together with what each rule said, in the order
// in which they are asked. Exactly one verdict is In or Out.
func Explain(r Rules, s Subject) (Decision, []Step) {
	d := Decide(r, s)
	steps := []Step{
		{Reason: ReasonRegionOff}, {Reason: ReasonOverride}, {Reason: ReasonRunningChat}, {Reason: ReasonSticky},
		{Reason: ReasonAppVersion}, {Reason: ReasonLanguage}, {Reason: ReasonBucket},
	}
	verdict := Passed
	for i := range steps {
		if steps[i].Reason != d.Reason {
			steps[i].Verdict = verdict
			continue
		}
		steps[i].Verdict, verdict = Out, NotAsked
		if d.Served {
			steps[i].Verdict = In
		}
	}
	return d, steps
}
