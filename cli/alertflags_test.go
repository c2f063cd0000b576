package cli_test

import (
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"deskbridge/bridge"
	"deskbridge/cli"
)

// TestAlertSettings sets every setting of notices, reads them back and takes
// them off again.
func TestAlertSettings(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.addRegion()
	type view struct {
		Alert     bridge.AlertSettings `json:"alert"`
		HasSecret bool                 `json:"has_alert_webhook_secret"`
		HasToken  bool                 `json:"has_alert_ntfy_token"`
	}
	out := h.want(cli.ExitOK, "region", "set", "testland", "--alert-minutes", "30", "--alert-language", "de", "--alert-emails", "a@town.example,b@town.example",
		"--alert-webhook-url", "https://chat.example/hooks/path-of-the-hook", "--alert-webhook-secret-file", h.file("s", "hunter2-secret"),
		"--alert-ntfy-url", "https://ntfy.example/topic", "--alert-ntfy-token-file", h.file("t", "hunter2-token"))
	for _, want := range []string{"30 minutes of opening hours", "a@town.example, b@town.example, ntfy at ntfy.example, webhook at chat.example"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in %s", want, out)
		}
	}
	if strings.Contains(out, "hunter2") || strings.Contains(out, "path-of-the-hook") {
		t.Errorf("a secret was printed: %s", out)
	}
	want := view{HasSecret: true, HasToken: true, Alert: bridge.AlertSettings{
		Minutes: 30, Language: "de", Emails: []string{"a@town.example", "b@town.example"},
		WebhookURL: "https://chat.example/hooks/path-of-the-hook", NtfyURL: "https://ntfy.example/topic",
	}}
	if d := cmp.Diff(want, decode[view](h, "region", "show", "testland")); d != "" {
		t.Error(d)
	}
	h.want(cli.ExitOK, "region", "set", "testland", "--alert-minutes", "0", "--alert-language", "", "--alert-emails", "none", "--alert-webhook-url", "", "--alert-ntfy-url", "",
		"--alert-webhook-secret-file", "/dev/null", "--alert-ntfy-token-file", "/dev/null")
	if d := cmp.Diff(view{}, decode[view](h, "region", "show", "testland")); d != "" {
		t.Error(d)
	}
	for _, args := range [][]string{
		{"--alert-minutes", "30"}, {"--alert-minutes=-1"}, {"--alert-minutes", "100000", "--alert-emails", "a@town.example"}, {"--alert-language", "tlh"},
		{"--alert-emails", "nobody"}, {"--alert-emails", "a@town.example,a@town.example"}, {"--alert-emails", strings.TrimSuffix(strings.Repeat("a@b.example,", 11), ",")},
		{"--alert-webhook-url", "ftp://chat.example"}, {"--alert-webhook-url", "https://user:word@chat.example"}, {"--alert-ntfy-url", "ntfy.example/topic"},
		{"--alert-ntfy-url", "https://ntfy.example/" + strings.Repeat("x", 1000)},
	} {
		h.want(cli.ExitInput, append([]string{"region", "set", "testland"}, args...)...)
	}
	h.want(cli.ExitOK, "jobs", "run", "alert", "--dry-run")
}

func TestDoctorLooksAtMail(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.addRegion()
	h.want(cli.ExitOK, "region", "set", "testland", "--alert-minutes", "30", "--alert-emails", "a@town.example", "--no-enabled")
	if _, out, _ := h.try("doctor"); !strings.Contains(out, "there is no mail server") {
		t.Error(out)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0") // free again in a moment
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	h.more = []string{
		"DESKBRIDGE_SMTP_HOST=127.0.0.1", "DESKBRIDGE_SMTP_PORT=" + port, "DESKBRIDGE_SMTP_FROM=chat@town.example",
		"DESKBRIDGE_SMTP_USER=u", "DESKBRIDGE_SMTP_PASSWORD_FILE=" + h.file("p", "hunter2"),
	}
	if out := h.want(cli.ExitMail, "doctor"); !strings.Contains(out, "fail  mail") || strings.Contains(out, "hunter2") || strings.Contains(out, "there is no mail server") {
		t.Error(out)
	}
}
