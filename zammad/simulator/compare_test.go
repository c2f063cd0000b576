package simulator

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"
)

var (
	isTime    = regexp.MustCompile(`^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{3}Z| UTC)$`)
	isErrorID = regexp.MustCompile(`^Error ID [\w-]{8}: Please contact your administrator\.$`)
	isUUID    = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	unordered = []string{"article_ids", "user_ids", "users", "ticket_article_ids"}
)

// compareBody compares an answer with the recorded one after normalising times, tokens and
// random parts. Ids are compared as they are.
func compareBody(key string, raw []byte, contentType string, want *recordedResponse) string {
	if s, ok := want.Body.(string); ok && !strings.Contains(contentType, "json") || len(raw) == 0 {
		if !ok {
			return fmt.Sprintf("empty body, want %v", want.Body)
		}
		return differ("", string(raw), s)
	}
	if m, ok := want.Body.(map[string]any); ok && m["base64"] != nil { // a file
		return differ("", base64.StdEncoding.EncodeToString(raw), m["base64"])
	}
	var got any
	if err := json.Unmarshal(raw, &got); err != nil {
		return err.Error()
	}
	wanted := want.Body
	switch key {
	case "05/24": // only the length of the title was kept
		wanted = map[string]any{"id": wanted.(map[string]any)["id"], "title": strings.Repeat("t", 250)}
	case "10/21": // only the names of the keys were kept
		keys := slices.Sorted(maps.Keys(got.(map[string]any)))
		names := []string{}
		for _, k := range wanted.([]any) {
			names = append(names, k.(string))
		}
		slices.Sort(names)
		return differ("", fmt.Sprint(keys), fmt.Sprint(names))
	}
	if partial[key] {
		got = onlyRecorded(got.([]any), wanted.([]any))
	}
	return differ("", got, wanted)
}

// onlyRecorded keeps the entries of a list whose ids were recorded.
func onlyRecorded(got, want []any) any {
	out := []any{}
	for _, g := range got {
		for _, w := range want {
			if g.(map[string]any)["id"] == w.(map[string]any)["id"] {
				out = append(out, g)
			}
		}
	}
	return out
}

// whole tells whether a recorded object kept all its keys: rows that show who made them and
// when, errors, and everything inside a webhook.
func whole(path string, m map[string]any) bool {
	_, made := m["created_at"]
	_, by := m["created_by_id"]
	_, failed := m["error"]
	return made && by || failed || strings.HasPrefix(path, "webhook")
}

// differ returns the first difference between what was got and what was recorded. In answers
// that were cut only the recorded keys count.
func differ(path string, got, want any) string {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			if list, isList := want.([]any); isList {
				return fmt.Sprintf("%s: %v, want %v", path, got, list)
			}
			return fmt.Sprintf("%s: %v is no object", path, got)
		}
		return differObject(path, g, w)
	case []any:
		if g, ok := got.(map[string]any); ok { // assets: only the ids were recorded
			return differKeys(path, g, w)
		}
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return fmt.Sprintf("%s: got %.200s, want %.200s", path, compact(got), compact(want))
		}
		if name := path[strings.LastIndex(path, ".")+1:]; slices.Contains(unordered, name) {
			g, w = ordered(g), ordered(w)
		}
		for i := range w {
			if d := differ(fmt.Sprintf("%s[%d]", path, i), g[i], w[i]); d != "" {
				return d
			}
		}
		return ""
	case string:
		g, ok := got.(string)
		if ok && normal(g) == normal(w) {
			return ""
		}
	default:
		if reflect.DeepEqual(got, want) {
			return ""
		}
	}
	return fmt.Sprintf("%s: got %.300s, want %.300s", path, compact(got), compact(want))
}

func differObject(path string, got, want map[string]any) string {
	for _, k := range slices.Sorted(maps.Keys(want)) {
		g, has := got[k]
		if !has && (want[k] != nil || whole(path, want)) {
			return fmt.Sprintf("%s: key %s is missing", path, k)
		}
		if d := differ(path+"."+k, g, want[k]); d != "" {
			return d
		}
	}
	if !whole(path, want) {
		return ""
	}
	for _, k := range slices.Sorted(maps.Keys(got)) {
		if _, has := want[k]; !has {
			return fmt.Sprintf("%s: key %s was not recorded", path, k)
		}
	}
	return ""
}

func differKeys(path string, got map[string]any, want []any) string {
	keys := slices.Sorted(maps.Keys(got))
	if len(keys) == len(want) && compact(ordered(want)) == compact(ordered(anys(keys))) {
		return ""
	}
	return fmt.Sprintf("%s: keys %v, want %v", path, keys, want)
}

func anys(list []string) []any {
	out := []any{}
	for _, s := range list {
		out = append(out, s)
	}
	return out
}

func ordered(list []any) []any {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	return list
}

func compact(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(raw)
}

// normal blurs what cannot be equal: times (their layout still counts), error ids, uuids and
// tokens.
func normal(s string) string {
	if isTime.MatchString(s) {
		if strings.HasSuffix(s, "UTC") {
			return "<time UTC>"
		}
		return "<time>"
	}
	if isErrorID.MatchString(s) {
		return "<error id>"
	}
	if strings.HasPrefix(s, "<token of ") || len(s) == 64 && !strings.ContainsAny(s, " <") {
		return "<token>"
	}
	return isUUID.ReplaceAllString(s, "<uuid>")
}

func ticketOf(payload string) int {
	var p struct {
		Ticket struct{ ID int }
	}
	if err := json.Unmarshal([]byte(payload), &p); err != nil {
		return -1
	}
	return p.Ticket.ID
}

// compareDelivery compares headers and body of a delivery. Keys and values count, their
// order does not.
func compareDelivery(got received, want *recordedDelivery) string {
	for _, name := range []string{"X-Zammad-Trigger", "User-Agent", "Content-Type", "Accept"} {
		if g := got.header.Get(name); g != want.Headers[name] {
			return fmt.Sprintf("header %s is %q, want %q", name, g, want.Headers[name])
		}
	}
	if got.path != want.Path {
		return fmt.Sprintf("sent to %s, want %s", got.path, want.Path)
	}
	if !got.signed {
		return "the signature does not fit"
	}
	var g, w any
	if err := json.Unmarshal(got.body, &g); err != nil {
		return err.Error()
	}
	if err := json.Unmarshal([]byte(want.BodyRaw), &w); err != nil {
		return err.Error()
	}
	return differ("webhook", g, w)
}

func mustTime(s string) time.Time {
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err) // a constant of the test
	}
	return at
}
