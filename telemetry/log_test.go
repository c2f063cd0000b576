package telemetry_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"deskbridge/telemetry"
)

type key struct{}

func fromContext(ctx context.Context) []slog.Attr {
	if id, ok := ctx.Value(key{}).(string); ok {
		return []slog.Attr{slog.String("request_id", id)}
	}
	return nil
}

func TestLinesCarryTheContext(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	log, err := telemetry.NewLog(&out, telemetry.Options{Level: "info", Format: "json", Attrs: []func(context.Context) []slog.Attr{fromContext}})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.WithValue(t.Context(), key{}, "r1")
	log.With("room", "x").InfoContext(ctx, "one")
	log.InfoContext(ctx, "two", "request_id", "own")
	log.Info("three")
	log.DebugContext(ctx, "four")
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 3 || !strings.Contains(lines[0], `"room":"x","request_id":"r1"`) {
		t.Fatalf("lines: %q", lines)
	}
	if strings.Contains(lines[1], "r1") || !strings.Contains(lines[1], "own") || strings.Contains(lines[2], "request_id") {
		t.Errorf("lines: %q", lines)
	}
}

func TestUnknownOptionsAreRefused(t *testing.T) {
	t.Parallel()
	for _, o := range []telemetry.Options{{Level: "loud", Format: "text"}, {Level: "info", Format: "xml"}} {
		if _, err := telemetry.NewLog(&strings.Builder{}, o); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
}

// TestOneEntryIsOneLine: what others send cannot forge lines, nor write to the
// terminal of whoever reads them.
func TestOneEntryIsOneLine(t *testing.T) {
	t.Parallel()
	const forged = "a\r\nlevel=ERROR msg=forged\x1b[2J\x00"
	for _, format := range []string{"text", "json"} {
		var out strings.Builder
		log, err := telemetry.NewLog(&out, telemetry.Options{Level: "info", Format: format})
		if err != nil {
			t.Fatal(err)
		}
		log.Info(forged, "name", forged, forged, "value", "error", errors.New(forged))
		line, ends := strings.CutSuffix(out.String(), "\n")
		if !ends || strings.ContainsAny(line, "\r\n\x1b\x00") {
			t.Errorf("%s: %q", format, out.String())
		}
	}
}
