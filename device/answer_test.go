package device

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"deskbridge/bridge"
)

func TestIfNoneMatch(t *testing.T) {
	t.Parallel()
	tag := stateTag(&bridge.Region{Version: 3}, 17, 0)
	if tag != `"3-17-0"` {
		t.Fatalf("stateTag = %s", tag)
	}
	for _, c := range []struct {
		condition string
		match     bool
	}{
		{`"3-17-0"`, true}, {`W/"3-17-0"`, true}, {`*`, true}, {`"a", "3-17-0"`, true}, {`"a",W/"3-17-0" , "b"`, true}, {`  "3-17-0"  `, true}, {`,,"3-17-0"`, true},
		{``, false}, {`"3-17-1"`, false}, {`3-17-0`, false}, {`"3-17-0`, false}, {`"`, false}, {`W/`, false}, {`w/"3-17-0"`, false}, {`W/*`, false},
		{`a "3-17-0"`, false}, {`""`, false}, {`"a,"3-17-0"`, false}, {`"3-17-0-gzip"`, false},
	} {
		if got := tag.in([]string{c.condition}); got != c.match {
			t.Errorf("If-None-Match: %s gives %v, want %v", c.condition, got, c.match)
		}
	}
	if !tag.in([]string{`"a"`, `"3-17-0"`}) {
		t.Error("the second of two headers is not seen")
	}
	if tag.in(nil) {
		t.Error("no condition matches")
	}
}

func TestTagsDiffer(t *testing.T) {
	t.Parallel()
	seen := map[etag]bool{}
	for version := range int64(12) {
		for seq := range bridge.Seq(12) {
			for since := range bridge.Seq(12) {
				seen[stateTag(&bridge.Region{Version: version}, seq, since)] = true
			}
		}
	}
	if len(seen) != 12*12*12 {
		t.Errorf("%d tags for %d states", len(seen), 12*12*12)
	}
}

func TestParseSince(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]bridge.Seq{"": 0, "a=b": 0, "since=0": 0, "since=17": 17, "a=1&since=9223372036854775807": 9223372036854775807, "since=%31": 1} {
		if got, err := parseQuery(query); err != nil || got.since != want {
			t.Errorf("%q: %d, %v; want %d", query, got.since, err, want)
		}
	}
	for _, query := range []string{"since=", "since", "since=-1", "since=%2B1", "since=1.0", "since=1_0", "since=0x1", "since=9223372036854775808", "since=1&since=2", "since=%zz", "since=1;2", "since=%D9%A1"} {
		if got, err := parseQuery(query); !errors.Is(err, bridge.ErrSince) {
			t.Errorf("%q: %d, %v; want %v", query, got.since, err, bridge.ErrSince)
		}
	}
}

func TestParseWait(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]time.Duration{"": 0, "wait=0": 0, "since=3&wait=25": 25 * time.Second, "wait=60": time.Minute} {
		if got, err := parseQuery(query); err != nil || got.wait != want {
			t.Errorf("%q: %s, %v; want %s", query, got.wait, err, want)
		}
	}
	for _, query := range []string{"wait=", "wait", "wait=-1", "wait=1.5", "wait=61", "wait=65536", "wait=1s", "wait=1&wait=1"} {
		if got, err := parseQuery(query); !errors.Is(err, bridge.ErrWait) {
			t.Errorf("%q: %s, %v; want %v", query, got.wait, err, bridge.ErrWait)
		}
	}
}

func FuzzIfNoneMatch(f *testing.F) {
	for _, s := range []string{`"1-2-3"`, `W/"1-2-3", *`, `"`, `,,`, `W/W/"x"`} {
		f.Add(s)
	}
	tag := stateTag(&bridge.Region{Version: 1}, 2, 3)
	f.Fuzz(func(t *testing.T, condition string) {
		if tag.in([]string{condition}) && !strings.Contains(condition, string(tag)) && !strings.Contains(condition, "*") {
			t.Fatalf("%q matches %s", condition, tag)
		}
		if !strings.ContainsAny(condition, "\"") && strings.Trim(condition, " \t,") == "" && !tag.in([]string{condition + "," + string(tag)}) {
			t.Fatalf("%q before a tag hides it", condition)
		}
	})
}

func FuzzSince(f *testing.F) {
	for _, s := range []string{"since=1", "since=", "a=b&since=00012", "since=1&since=1", "%"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, query string) {
		q, err := parseQuery(query)
		since := q.since
		if errors.Is(err, bridge.ErrWait) {
			return
		}
		if since < 0 || err != nil && (since != 0 || !errors.Is(err, bridge.ErrSince)) {
			t.Fatalf("%q: %d, %v", query, since, err)
		}
		if err == nil {
			if again, err := parseQuery("since=" + strconv.FormatInt(int64(since), 10)); err != nil || again.since != since {
				t.Fatalf("%d becomes %d, %v", since, again.since, err)
			}
		}
	})
}
