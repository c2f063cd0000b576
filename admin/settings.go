package admin

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"deskbridge/bridge"
	"deskbridge/staff"
)

const settingsPath = "/admin/regions/:region/settings/"

// settingsDoor is the part of the console about the settings of a region.
type settingsDoor struct{ *Door }

func (d settingsDoor) routes() []route {
	return []route{
		{http.MethodGet, settingsPath, staff.Read, d.settingsIndex},
		{http.MethodGet, settingsPath + ":section/", staff.Read, d.settingsSection},
		{http.MethodPost, settingsPath + ":section/", staff.Change, d.saveSection},
		{http.MethodPost, settingsPath + "zammad/test/", staff.Change, d.testZammad},
		{http.MethodPost, settingsPath + "zammad/webhook-secret/", staff.Change, d.newWebhookSecret},
		{http.MethodPost, settingsPath + "zammad/webhook-token/", staff.Change, d.dropWebhookToken},
		{http.MethodPost, settingsPath + "take-back/", staff.Operate, d.takeBack},
	}
}

// settingsIndex lists the sections.
func (d settingsDoor) settingsIndex(r *Request) error {
	var keys []string
	for _, s := range d.sections() {
		keys = append(keys, s.key)
	}
	return r.Show("settings", struct{ Sections []string }{keys})
}

// formField is a field as a template shows it.
type formField struct {
	setting
	Label, Hint string
	Value       string
	Now         string // what is stored, where somebody else saved something else meanwhile
	Error       string
	By          string // the token that manages it
	May         bool   // whether it can be changed here
	Set         bool   // whether there is a secret
}

// Name, Kind and Dir are for templates.
func (f formField) Name() string { return f.name }

// Kind is how it is filled in.
func (f formField) Kind() string { return f.kind }

// Dir is the direction of its text.
func (f formField) Dir() string { return f.dir }

// Of is the setting that it is a part of.
func (f formField) Of() string { return cmp.Or(f.of, f.name) }

// formOption is one of the words of a choice.
type formOption struct {
	Value, Text string // Text is a key
	Chosen      bool
}

// Options are what can be chosen.
func (f formField) Options() []formOption {
	options := make([]formOption, len(f.options))
	for i, value := range f.options {
		chosen := value == f.Value
		if f.kind == "choices" {
			chosen = slices.Contains(strings.Fields(f.Value), value)
		}
		options[i] = formOption{value, "settings.option." + f.name + "." + cmp.Or(value, "none"), chosen}
	}
	return options
}

// sectionPage is a section as its template sees it.
type sectionPage struct {
	Key      string
	Fields   []formField
	Tag      string   // of what the form was filled with
	Errors   []string // about fields of other sections
	Conflict bool     // somebody else has saved meanwhile
	Ask      string   // a question to answer with yes
	Webhook  string   // for the section zammad: the address of the region's webhook
	Secret   bool     // and whether its webhooks are signed
	OldHook  bool     // and whether it takes webhooks without a signature
	Texts    []shownText
}

// Wrong says whether a field has an error.
func (p sectionPage) Wrong() bool {
	return slices.ContainsFunc(p.Fields, func(f formField) bool { return f.Error != "" })
}

// section finds the section of a path.
func (d settingsDoor) section(r *Request) (section, error) {
	for _, s := range d.sections() {
		if s.key == r.Param("section") {
			return s, nil
		}
	}
	return section{}, errNotFound
}

// page makes the page of a section, filled with what is stored.
func (d settingsDoor) page(r *Request, s section, region *bridge.Region) sectionPage {
	fields := s.fields(region)
	p := sectionPage{Key: s.key, Tag: tagOf(fields, region)}
	for _, f := range fields {
		shown := formField{setting: f, Value: f.read(region), May: r.May(staff.Change)}
		label, hint := "settings.label."+cmp.Or(f.label, f.name), "settings.hint."+cmp.Or(f.label, f.name)
		shown.Label = r.T(label, f.about...)
		if text := r.T(hint); text != hint { // not every field needs one
			shown.Hint = text
		}
		if _, token := region.ManagedBy(cmp.Or(f.of, f.name)); token != "" {
			shown.By, shown.May = token, false
		}
		if f.kind == "secret" {
			shown.Set, shown.Value = shown.Value != "", ""
		}
		p.Fields = append(p.Fields, shown)
	}
	switch s.key {
	case "zammad":
		p.Webhook = strings.TrimSuffix(d.PublicURL, "/") + "/api/v3/webhook/zammad/" + region.Slug + "/"
		p.Secret, p.OldHook = region.WebhookSecret != "", region.WebhookToken != ""
	case "texts":
		p.Texts = shownTexts(region)
	}
	return p
}

// tagOf names what a form was filled with, so that it is noticed when somebody
// else saves the same section meanwhile.
func tagOf(fields []setting, region *bridge.Region) string {
	sum := sha256.New()
	for _, f := range fields {
		sum.Write([]byte(f.name + "\x00" + f.read(region) + "\x00"))
	}
	return base64.RawURLEncoding.EncodeToString(sum.Sum(nil)[:12])
}

// settingsSection shows a section.
func (d settingsDoor) settingsSection(r *Request) error {
	s, err := d.section(r)
	if err != nil {
		return err
	}
	region, err := d.Store.Region(r.Request.Context(), r.Region.ID)
	if err != nil {
		return err
	}
	return r.Show("settings_section", d.page(r, s, region))
}

// saveSection saves the fields of a section and no others, whatever the form has.
func (d settingsDoor) saveSection(r *Request) error {
	s, err := d.section(r)
	if err != nil {
		return err
	}
	form, err := r.Form()
	if err != nil {
		return err
	}
	now, err := d.Store.Region(r.Request.Context(), r.Region.ID)
	if err != nil {
		return err
	}
	next, errs := d.fill(s, now, form)
	if form.Get("tag") != tagOf(s.fields(now), now) {
		return d.again(r, s, now, form, nil, func(p *sectionPage) { p.Conflict = true })
	}
	if errs == nil {
		if errs, err = d.judge(now, next); err != nil {
			return err
		}
	}
	if form.Get("preview") != "" {
		return d.again(r, s, now, form, errs, func(p *sectionPage) { p.Texts = shownTexts(next) })
	}
	if errs != nil {
		return d.again(r, s, now, form, errs, nil)
	}
	if s.ask != nil && form.Get("sure") != "yes" {
		if question := s.ask(now, next); question != "" {
			return d.again(r, s, now, form, nil, func(p *sectionPage) { p.Ask = question })
		}
	}
	if err := d.Store.SaveRegion(r.Request.Context(), next); errors.Is(err, bridge.ErrRegionChanged) {
		// In this very moment: ask anew with what is stored now.
		if now, err = d.Store.Region(r.Request.Context(), r.Region.ID); err != nil {
			return err
		}
		return d.again(r, s, now, form, nil, func(p *sectionPage) { p.Conflict = true })
	} else if err != nil {
		return err
	}
	return d.obeyed(r, "settings/"+s.key+"/", "saved")
}

// obeyed makes this process obey a change at once, and ends the request.
func (d settingsDoor) obeyed(r *Request, path, key string) error {
	if err := d.Regions.Reload(r.Request.Context()); err != nil {
		return err
	}
	return r.Done(r.Path(path), key)
}

// fill gives the region with what the form says in fields that people may change.
// A field that is not in the form stays; of check boxes, missing is no.
func (d settingsDoor) fill(s section, now *bridge.Region, form url.Values) (*bridge.Region, bridge.FieldErrors) {
	next, errs := *now, bridge.FieldErrors(nil)
	for _, f := range s.fields(now) {
		if _, token := now.ManagedBy(cmp.Or(f.of, f.name)); token != "" {
			continue
		}
		values, sent := form[f.name]
		if !sent && f.kind != "check" && f.kind != "choices" {
			continue
		}
		text := strings.Join(values, " ")
		if f.write(&next, text) {
			continue
		}
		code, args := "form", []any(nil)
		if f.fault != nil {
			code, args = f.fault(text)
		}
		errs.Add(f.name, code, args...)
	}
	return &next, errs
}

// judge holds a change against the rules.
func (d settingsDoor) judge(now, next *bridge.Region) (bridge.FieldErrors, error) {
	errs, err := d.Rules.CheckChange(now, next)
	if err != nil || errs != nil {
		return errs, err
	}
	managed, err := bridge.CheckManaged(now, next)
	return managed, err
}

// again shows the form once more, with what was typed and what is wrong. Secrets
// are not sent back: they are to be typed again.
func (d settingsDoor) again(r *Request, s section, now *bridge.Region, form url.Values, errs bridge.FieldErrors, also func(*sectionPage)) error {
	p := d.page(r, s, now)
	if also != nil {
		also(&p)
	}
	told := make(map[int]bool)
	for i := range p.Fields {
		f := &p.Fields[i]
		for n, e := range errs {
			if e.Field == f.name || f.of != "" && e.Field == f.of && !told[n] {
				f.Error = strings.TrimSpace(f.Error + " " + r.fault(e))
				told[n] = true
			}
		}
		values, sent := form[f.name]
		if f.kind == "secret" || !f.May || !sent && f.kind != "check" && f.kind != "choices" {
			continue
		}
		stored := f.Value
		f.Value = strings.ReplaceAll(strings.Join(values, " "), "\r\n", "\n")
		if p.Conflict && strings.TrimSpace(f.Value) != strings.TrimSpace(stored) {
			f.Now = cmp.Or(stored, r.T("settings.nothing"))
		}
	}
	for n, e := range errs {
		if !told[n] {
			label, name := "settings.label."+e.Field, e.Field
			if text := r.T(label); text != label {
				name = text
			}
			p.Errors = append(p.Errors, r.T("settings.elsewhere", name, r.fault(e)))
		}
	}
	status := http.StatusOK
	switch {
	case p.Conflict:
		status = http.StatusConflict
	case errs != nil || p.Ask != "":
		status = http.StatusUnprocessableEntity
	}
	return r.ShowStatus(status, "settings_section", p)
}

// fault says what is wrong with a field in the language of the page.
func (r *Request) fault(e bridge.FieldError) string {
	key := "settings.error." + e.Code
	return r.T(key, e.Args...)
}

// takeBack gives a field that another system sets to people again.
func (d settingsDoor) takeBack(r *Request) error {
	form, err := r.Form()
	if err != nil {
		return err
	}
	now, err := d.Store.Region(r.Request.Context(), r.Region.ID)
	if err != nil {
		return err
	}
	next := *now
	if field, _ := now.ManagedBy(form.Get("field")); field == "" {
		return errNotFound
	}
	next.TakeBack(form.Get("field"))
	if err := d.Store.SaveRegion(r.Request.Context(), &next); err != nil {
		return err
	}
	back := "settings/"
	for _, s := range d.sections() {
		if s.key == form.Get("section") {
			back += s.key + "/"
		}
	}
	return d.obeyed(r, back, "saved")
}
