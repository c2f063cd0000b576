package admin

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"deskbridge/bridge"
	"deskbridge/gate"
	"deskbridge/staff"
)

// GateStore is what the pages about the gate ask and change.
type GateStore interface {
	bridge.TesterStore
	SaveRegion(ctx context.Context, r *bridge.Region) error
	Standing(ctx context.Context, r *bridge.Region, d bridge.DeviceHash, now time.Time) (bridge.Standing, error)
}

// gatePages are the pages about a region's gate.
type gatePages struct{ *Door }

const gatePath = "/admin/regions/:region/gate/"

func (d gatePages) routes() []route {
	return []route{
		{http.MethodGet, gatePath, staff.Read, d.gate},
		{http.MethodPost, gatePath, staff.Change, d.saveGate},
		{http.MethodPost, gatePath + "preview/", staff.Change, d.previewGate},
		{http.MethodGet, gatePath + "preview/", staff.Read, backTo("gate/")},
	}
}

// backTo answers at the address of a form, where people come by their browser's
// address line or after signing in again: the page that the form stands on.
func backTo(page string) func(*Request) error {
	return func(r *Request) error { return r.Done(r.Path(page), "") }
}

// gateView is what the page about the gate shows.
type gateView struct {
	Form     gateForm
	Now      float64           // percentage in force
	Ramp     []bridge.RampStep // stored, still to come
	Preview  *bridge.Preview   // nil: not asked for
	Confirm  bool              // somebody would lose the chat: ask once more
	Changed  bool              // somebody else has saved meanwhile
	Zone     *time.Location    // of all times on the page
	ZoneName string            // as people read it
	Stored   *bridge.Region    // as it is now
	Problems map[string]string // by the name of the field

	language string
}

// Percent writes a percentage as the language does.
func (v gateView) Percent(p float64) string {
	text := strconv.FormatFloat(p, 'f', -1, 64)
	if v.language == "de" {
		text = strings.Replace(text, ".", ",", 1)
	}
	return text
}

// Managed gives the name of the API token by which another system sets a field of
// the region; empty: people set it here.
func (v gateView) Managed(field string) string {
	_, token := v.Stored.ManagedBy(field)
	return token
}

// gate shows who gets the chat, and to whoever may change it the form.
func (d gatePages) gate(r *Request) error {
	return r.Show("gate", d.gateView(r, gateFormOf(r.Region, r.Zone())))
}

func (d gatePages) gateView(r *Request, form gateForm) gateView {
	return gateView{
		Form: form, Now: r.Region.PercentageAt(d.Now()), Ramp: r.Region.Settings.Settled(d.Now()).Ramp,
		Zone: r.Zone(), ZoneName: r.Zone().String(), Stored: r.Region, language: r.Language,
	}
}

// typedGate reads the form against the region as it is stored now. Without
// problems it gives the region as it would be.
func (d gatePages) typedGate(r *Request) (gateView, *bridge.Region, error) {
	fields, err := r.Form()
	if err != nil {
		return gateView{}, nil, err
	}
	if err := d.Regions.Reload(r.Request.Context()); err != nil {
		return gateView{}, nil, err
	}
	stored, ok := d.Regions.ByID(r.Region.ID)
	if !ok {
		return gateView{}, nil, errNotFound
	}
	r.Region = stored
	form := typedGateForm(fields)
	changed := *stored
	problems := form.apply(r, &changed.Settings, d.Now())
	view := d.gateView(r, form)
	view.Problems, view.Changed = problems, form.Version != stored.Version
	return view, &changed, nil
}

// preview adds to a view what its form would change.
func (d gatePages) preview(r *Request, view *gateView, changed *bridge.Region) error {
	// A region that is switched off serves nobody; what people want to know is
	// what will be when it is on.
	on := func(rules gate.Rules) gate.Rules {
		rules.Enabled = true
		return rules
	}
	now := d.Now()
	p, err := bridge.PreviewRules(r.Request.Context(), d.Gate, r.Region, on(r.Region.GateRules(now)), on(changed.GateRules(now)), now)
	view.Preview = &p
	return err
}

// previewGate says what the form would change, and changes nothing.
func (d gatePages) previewGate(r *Request) error {
	view, changed, err := d.typedGate(r)
	if err != nil {
		return err
	}
	if len(view.Problems) == 0 {
		if err := d.preview(r, &view, changed); err != nil {
			return err
		}
	}
	if r.FromHTMX() {
		return r.Fragment("gate", "preview", view)
	}
	return r.Show("gate", view)
}

// saveGate stores the form. Where devices that the region knows would lose the
// chat, it says how many, and asks once more.
func (d gatePages) saveGate(r *Request) error {
	view, changed, err := d.typedGate(r)
	if err != nil {
		return err
	}
	switch {
	case len(view.Problems) > 0:
		return r.ShowStatus(http.StatusUnprocessableEntity, "gate", view)
	case view.Changed:
		return d.gateChanged(r, view)
	}
	if err := d.preview(r, &view, changed); err != nil {
		return err
	}
	// Whoever is sure is so of the number that was shown, and may have typed on.
	sure, _ := strconv.Atoi(r.Request.PostForm.Get("sure"))
	if view.Preview.Out > sure {
		view.Confirm = true
		return r.Show("gate", view)
	}
	err = d.Gate.SaveRegion(r.Request.Context(), changed)
	if errors.Is(err, bridge.ErrRegionChanged) {
		if view, _, err = d.typedGate(r); err != nil {
			return err
		}
		return d.gateChanged(r, view)
	}
	if err == nil {
		err = d.Regions.Reload(r.Request.Context())
	}
	if err != nil {
		return err
	}
	return r.Done(r.Path("gate/"), "saved")
}

// gateChanged shows what somebody else has stored meanwhile beside what was
// typed, which can be saved over it then.
func (d gatePages) gateChanged(r *Request, view gateView) error {
	view.Form.Version, view.Changed = r.Region.Version, true
	return r.ShowStatus(http.StatusConflict, "gate", view)
}

// gateForm is the form as it is typed.
type gateForm struct {
	Version       int64
	Percentage    string
	MinAppVersion string
	Languages     []string
	HideUntilFull bool
	Steps         []gateStep // with empty ones at the end, to be filled in
}

// gateStep is one step of the ramp as it is typed.
type gateStep struct {
	At, Percentage string
	Problem        string
}

// emptySteps is how many empty steps a form offers after those that are there.
const emptySteps = 3

// stepLayouts are how browsers send a date with a time, and how people type it
// where a browser knows no such field.
var stepLayouts = [...]string{"2006-01-02T15:04", "2006-01-02T15:04:05", "2006-01-02 15:04", "2.1.2006 15:04"}

// gateFormOf fills a form with what is stored.
func gateFormOf(r *bridge.Region, zone *time.Location) gateForm {
	form := gateForm{
		Version: r.Version, Percentage: strconv.FormatFloat(r.Settings.Percentage, 'f', -1, 64),
		MinAppVersion: r.Settings.MinAppVersion, Languages: r.Settings.GateLanguages, HideUntilFull: r.Settings.HideUntilFull,
	}
	for _, step := range r.Settings.Ramp {
		layout := stepLayouts[0]
		if step.At.Second() != 0 {
			layout = stepLayouts[1]
		}
		form.Steps = append(form.Steps, gateStep{At: step.At.In(zone).Format(layout), Percentage: strconv.FormatFloat(step.Percentage, 'f', -1, 64)})
	}
	return form.roomy()
}

// typedGateForm takes a form as it was sent.
func typedGateForm(fields url.Values) gateForm {
	form := gateForm{
		Percentage: strings.TrimSpace(fields.Get("percentage")), MinAppVersion: strings.TrimSpace(fields.Get("min_app_version")),
		Languages: fields["gate_languages"], HideUntilFull: fields.Get("hide_until_full") != "",
	}
	form.Version, _ = strconv.ParseInt(fields.Get("version"), 10, 64) // nonsense is nobody's version
	at, percentages := fields["ramp_at"], fields["ramp_percentage"]
	for i := range min(len(at), len(percentages), bridge.MaxRampSteps+emptySteps) {
		step := gateStep{At: strings.TrimSpace(at[i]), Percentage: strings.TrimSpace(percentages[i])}
		if step != (gateStep{}) {
			form.Steps = append(form.Steps, step)
		}
	}
	return form.roomy()
}

// roomy adds empty steps, up to the largest number.
func (f gateForm) roomy() gateForm {
	for range min(emptySteps, bridge.MaxRampSteps-len(f.Steps)) {
		f.Steps = append(f.Steps, gateStep{})
	}
	return f
}

// Serves says whether a language is ticked.
func (f gateForm) Serves(code string) bool { return slices.Contains(f.Languages, code) }

// apply changes settings by the form, and says what is wrong with it, by field.
// What another system sets stays as it is.
func (f gateForm) apply(r *Request, set *bridge.RegionSettings, now time.Time) map[string]string {
	problems := make(map[string]string)
	free := func(field string) bool {
		_, token := r.Region.ManagedBy(field)
		return token == ""
	}
	if free("percentage") {
		var ok bool
		if set.Percentage, ok = percentage(f.Percentage); !ok {
			problems["percentage"] = r.T("gate.bad_percentage")
		}
	}
	if free("min_app_version") {
		if set.MinAppVersion = f.MinAppVersion; f.MinAppVersion != "" && !bridge.ValidMinAppVersion(f.MinAppVersion) {
			problems["min_app_version"] = r.T("gate.bad_version")
		}
	}
	if free("gate_languages") {
		set.GateLanguages = nil
		for _, l := range set.Languages { // in their order; others mean nothing
			if f.Serves(l.Code) {
				set.GateLanguages = append(set.GateLanguages, l.Code)
			}
		}
		if len(set.GateLanguages) == len(set.Languages) {
			set.GateLanguages = nil // all, and those that the region gets later
		}
	}
	if free("hide_until_full") {
		set.HideUntilFull = f.HideUntilFull
	}
	if free("ramp") {
		f.applyRamp(r, set, problems, now)
	}
	return problems
}

// applyRamp takes the steps that are not empty.
func (f gateForm) applyRamp(r *Request, set *bridge.RegionSettings, problems map[string]string, now time.Time) {
	set.Ramp = nil
	var last time.Time
	for i := range f.Steps {
		step := &f.Steps[i]
		if *step == (gateStep{}) {
			continue
		}
		at, timed := stepTime(step.At, r.Zone())
		share, valid := percentage(step.Percentage)
		switch {
		case !timed:
			step.Problem = r.T("gate.bad_time")
		case !valid:
			step.Problem = r.T("gate.bad_percentage")
		case !at.After(now):
			step.Problem = r.T("gate.past_time")
		case !at.After(last):
			step.Problem = r.T("gate.bad_order")
		}
		if step.Problem != "" {
			problems["ramp"] = r.T("gate.bad_ramp")
		}
		last = at
		set.Ramp = append(set.Ramp, bridge.RampStep{At: at, Percentage: share})
	}
	if len(set.Ramp) > bridge.MaxRampSteps {
		problems["ramp"] = r.T("gate.long_ramp", bridge.MaxRampSteps)
	}
}

// percentage reads a number from 0 to 100 with at most two decimals, after a dot
// or a comma.
func percentage(text string) (float64, bool) {
	p, err := strconv.ParseFloat(strings.Replace(text, ",", ".", 1), 64)
	return p, err == nil && bridge.ValidPercentage(p)
}

func stepTime(text string, zone *time.Location) (time.Time, bool) {
	for _, layout := range stepLayouts {
		if at, err := time.ParseInLocation(layout, text, zone); err == nil {
			return at.UTC(), at.Year() < 3000
		}
	}
	return time.Time{}, false
}
