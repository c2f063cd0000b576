package main

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestBareHandlerCommitsTheSameRows: a baseline that writes less than Deskbridge
// would make it look slow, and one that writes more fast.
func TestBareHandlerCommitsTheSameRows(t *testing.T) {
	t.Parallel()
	ctx, dir := t.Context(), t.TempDir()
	first, second := filepath.Join(dir, "ours.db"), filepath.Join(dir, "bare.db")
	ours, err := newStack(ctx, "sqlite:"+first)
	if err != nil {
		t.Fatal(err)
	}
	model, err := newStack(ctx, "sqlite:"+second)
	if err != nil {
		t.Fatal(err)
	}
	if err := model.close(); err != nil {
		t.Fatal(err)
	}
	other, err := openBareSQLite(ctx, second, acceptQueries()...)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range []http.Handler{ours.handler, http.HandlerFunc(other.accept)} {
		for range 2 {
			r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/api/v3/"+slug+"/"+language+"/chat/one-device/", strings.NewReader("message=Gr%C3%BC%C3%9Fe+%3C"))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			w := httptest.NewRecorder()
			if h.ServeHTTP(w, r); w.Code != http.StatusOK {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
		}
	}
	for _, shut := range []func() error{ours.close, other.close} {
		if err := shut(); err != nil {
			t.Fatal(err)
		}
	}
	for _, table := range []string{"devices", "chats", "messages", "outbox"} {
		a, b := rowsOf(ctx, t, first, table), rowsOf(ctx, t, second, table)
		if d := cmp.Diff(a, b); d != "" || len(a) == 0 {
			t.Errorf("%s: %d rows, %s", table, len(a), d)
		}
	}
}

// rowsOf reads a table as text. Of what is random and of times it shows only
// whether there is something.
func rowsOf(ctx context.Context, t *testing.T, path, table string) (rows []string) {
	t.Helper()
	db, err := sql.Open("sqlite", bareDSN(path))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() //nolint:errcheck // it was only read
	found, err := db.QueryContext(ctx, "SELECT * FROM "+table+" ORDER BY id")
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close() //nolint:errcheck // Err says it
	names, err := found.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for found.Next() {
		values, into := make([]any, len(names)), make([]any, len(names))
		for i := range values {
			into[i] = &values[i]
		}
		if err := found.Scan(into...); err != nil {
			t.Fatal(err)
		}
		var row strings.Builder
		for i, name := range names {
			value := fmt.Sprint(values[i])
			switch {
			case strings.HasSuffix(name, "_at") || name == "lane_due" || name == "waiting_since":
				if value != "0" && value != "<nil>" {
					value = "a time"
				}
			case name == "uuid" || name == "alias" || name == "device_hash":
				value = "random"
			}
			fmt.Fprintf(&row, "%s=%s ", name, value)
		}
		rows = append(rows, row.String())
	}
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	return rows
}
