package main

import (
	"slices"
	"testing"
)

func TestCallsToZammad(t *testing.T) {
	t.Parallel()
	all, err := countCalls(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const search = "POST /tickets/search"
	want := map[string][]string{
		"start":                            {"GET /ticket_states", search}, // what was missed is read at once
		"new chat, first of the process":   {"POST /tickets"},
		"message":                          {"PUT /tickets/{id}"},
		"delivery of an agent's answer":    nil,
		"poll":                             nil,
		"poll without news":                nil,
		"reconciliation, first":            {search, "GET /ticket_articles/by_ticket/{id}"},
		"reconciliation, nothing new":      {search},
		"message after the agent's answer": {"PUT /tickets/{id}"},
	}
	if len(all) != len(want) {
		t.Errorf("%d events, want %d", len(all), len(want))
	}
	for _, c := range all {
		if calls, known := want[c.what]; !known || !slices.Equal(c.calls, calls) {
			t.Errorf("%s: calls %q, want %q", c.what, c.calls, calls)
		}
	}
}
