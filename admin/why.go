package admin

import (
	"net/http"
	"strings"

	"deskbridge/bridge"
	"deskbridge/gate"
)

// whyView is what the page shows that explains the gate's answer.
type whyView struct {
	Device, Asked, AppVersion string // typed; Asked is the language of the question
	Problems                  map[string]string
	Answer                    bool // there is one
	Served                    bool
	Steps                     []whyStep
}

// whyStep is one rule, in words.
type whyStep struct {
	Reason  gate.Reason
	Verdict gate.Verdict
	Text    string
}

// why explains the gate's answer about the device that was typed.
func (d testerPages) why(r *Request) error {
	id, hash, problem, err := d.device(r)
	if err != nil {
		return err
	}
	fields := r.Request.PostForm
	view := whyView{Device: id, Asked: fields.Get("language"), AppVersion: strings.TrimSpace(fields.Get("app_version")), Problems: make(map[string]string)}
	if problem != "" {
		view.Problems["device"] = problem
	}
	if view.AppVersion != "" && (!gate.ValidVersion(view.AppVersion) || len(view.AppVersion) > 40) {
		view.Problems["app_version"] = r.T("gate.bad_version")
	}
	if !r.Region.HasLanguage(view.Asked) {
		view.Asked = ""
	}
	if len(view.Problems) > 0 {
		return r.ShowStatus(http.StatusUnprocessableEntity, "why", view)
	}
	why, err := bridge.AskWhy(r.Request.Context(), d.Gate, r.Region, hash, view.Asked, view.AppVersion, d.Now())
	if err != nil {
		return err
	}
	view.Answer, view.Served = true, why.Decision.Served
	for _, step := range why.Steps {
		view.Steps = append(view.Steps, whyStep{step.Reason, step.Verdict, why.Say(step, r.Language)})
	}
	return r.Show("why", view)
}
