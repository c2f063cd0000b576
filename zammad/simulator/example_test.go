package simulator_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"deskbridge/zammad/simulator"
)

// A Zammad for a test: serve it, let it deliver webhooks, talk to it as to a real one.
func Example() {
	sim := simulator.New(simulator.Config{AdminToken: "admin", Clock: simulator.NewFastClock(100)})
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go func() { _ = sim.Run(ctx) }() // returns nil when ctx ends

	server := httptest.NewServer(sim.Handler())
	defer server.Close()
	req, err := http.NewRequest(http.MethodGet, server.URL+"/api/v1/version", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Authorization", "Token token=admin")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	fmt.Println(resp.StatusCode, string(body), err)
	// Output: 200 {"version":"6.1.x"} <nil>
}
