package simulator

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// AddFault makes something go wrong from now on and returns the id of the fault. Of several
// that are due the one set first applies. The error is a sentence that says what is wrong
// with f.
func (s *Simulator) AddFault(f Fault) (id string, err error) {
	if err := f.check(); err != nil {
		return "", err
	}
	return s.faults.add(f).ID, nil
}

// ClearFaults ends all faults. What they held goes on at once: delayed and late work is done,
// answers that were held back are sent. Webhooks that were put off keep their time.
func (s *Simulator) ClearFaults() { s.faults.clear("") }

// Faults returns the faults that are set, used up ones included, in the order in which they
// were set.
func (s *Simulator) Faults() []FaultReport { return s.faults.list() }

// switches serves the switchboard and the ground truth below /simulator/. No fault applies to
// them.
func switches(s *Simulator, mux *http.ServeMux) {
	mux.HandleFunc("POST /simulator/faults", guarded(s, func(r *http.Request) (int, any) {
		f, err := parseFault(r.Body)
		if err != nil {
			return http.StatusUnprocessableEntity, row{"error": err.Error()}
		}
		return http.StatusCreated, s.faults.add(f)
	}))
	mux.HandleFunc("GET /simulator/faults", guarded(s, func(*http.Request) (int, any) {
		return http.StatusOK, s.faults.list()
	}))
	mux.HandleFunc("DELETE /simulator/faults", guarded(s, func(*http.Request) (int, any) {
		return http.StatusOK, row{"cleared": s.faults.clear("")}
	}))
	mux.HandleFunc("DELETE /simulator/faults/{id}", guarded(s, func(r *http.Request) (int, any) {
		n := s.faults.clear(r.PathValue("id"))
		if n == 0 {
			return http.StatusNotFound, row{"error": "there is no fault with this id"}
		}
		return http.StatusOK, row{"cleared": n}
	}))
	mux.HandleFunc("GET /simulator/state", guarded(s, func(*http.Request) (int, any) {
		return http.StatusOK, s.State()
	}))
	mux.HandleFunc("/simulator/", func(w http.ResponseWriter, r *http.Request) {
		answerJSON(w, http.StatusNotFound, row{"error": "there is no " + r.Method + " " + r.URL.Path})
	})
}

// guarded asks for a token with the permission admin. It does not ask Zammad's settings, and
// leaves no trace in the database: maintenance or a switched-off token access are things that
// one wants to look at from here.
func guarded(s *Simulator, handle func(*http.Request) (int, any)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		token, ok := s.tokens.by("token", tokenIn(r.Header.Get("Authorization")))
		user := s.users.rows[token.num("user_id")]
		admin := user.flag("active") && s.userMay(user, "admin") &&
			grants(texts(token.object("preferences")["permission"]), "admin")
		expired := expired(token, s.clock.Now())
		s.mu.Unlock()
		switch {
		case !ok || expired:
			answerJSON(w, http.StatusUnauthorized, row{"error": "send the admin token: Authorization: Token token=…"})
		case !admin:
			answerJSON(w, http.StatusForbidden, row{"error": "this token has not the permission admin"})
		default:
			r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
			status, body := handle(r)
			answerJSON(w, status, body)
		}
	}
}

func answerJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false) // message ids stay readable
	_ = enc.Encode(body)     // a caller that is gone is no error of ours
}

// faulty lets faults apply to the requests of the API before next sees them.
func faulty(s *Simulator, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var f *setFault
		if strings.HasPrefix(r.URL.Path, apiPath) {
			f = s.faults.take(func(f Fault) bool { return f.hitsRequest(r.Method, r.URL.Path) })
		}
		if f == nil {
			next.ServeHTTP(w, r)
			return
		}
		s.log.Info("fault", "id", f.ID, "kind", f.Kind, "method", r.Method, "path", r.URL.Path)
		// Read whole now: it may be worked on when the connection is gone, and net/http notices
		// that a client leaves only after the body was read.
		body, err := io.ReadAll(io.LimitReader(r.Body, maxRequest+1))
		if err != nil {
			reset(w)
			return
		}
		arrived := r.WithContext(context.WithoutCancel(r.Context()))
		arrived.Body = io.NopCloser(bytes.NewReader(body))
		strike(s, f, w, r, func(w http.ResponseWriter) { next.ServeHTTP(w, arrived) })
	})
}

func strike(s *Simulator, f *setFault, w http.ResponseWriter, r *http.Request, work func(http.ResponseWriter)) {
	gone := r.Context().Done()
	switch f.Kind {
	case FaultStatus:
		refuse(w, f.Fault)
	case FaultDelay:
		s.faults.owe(1)
		defer s.faults.owe(-1)
		s.faults.hold(f, s.clock.After(f.delay()), nil)
		work(w)
	case FaultResetBefore:
		reset(w)
	case FaultResetAfter:
		work(newKept())
		reset(w)
	case FaultTimeoutAfter:
		answer := newKept()
		work(answer)
		s.faults.hold(f, nil, gone)
		answer.head(w)
		_, _ = w.Write(answer.body.Bytes())
	case FaultLateCommit:
		s.faults.owe(1)
		defer s.faults.owe(-1)
		over := s.clock.After(f.delay()) // counted from now, whatever the clock does after the reset
		reset(w)
		if f.DelayMS > 0 {
			s.faults.hold(f, over, nil)
		}
		work(newKept())
	case FaultTruncate:
		answer := newKept()
		work(answer)
		truncate(w, answer)
	case FaultGarbage:
		answer := newKept()
		work(answer)
		garble(w, answer, f.Body)
	case FaultSlowBody:
		answer := newKept()
		work(answer)
		trickle(s, f, w, answer, gone)
	}
}

// reset breaks the connection: the client reads an error, not an end. The simulator speaks
// HTTP/1.1; a connection that cannot be taken over is closed by net/http.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	under := conn
	if secure, ok := conn.(*tls.Conn); ok {
		under = secure.NetConn()
	}
	if tcp, ok := under.(interface{ SetLinger(int) error }); ok {
		_ = tcp.SetLinger(0) // discard what is unsent and reset, instead of an orderly end
	}
	_ = under.Close()
}

func refuse(w http.ResponseWriter, f Fault) {
	body, kind := f.Body, "application/json; charset=utf-8"
	if f.HTML {
		kind = "text/html; charset=utf-8"
	}
	switch {
	case body != "":
	case f.HTML:
		body = errorPage(f.Status, http.StatusText(f.Status))
	default:
		encoded, _ := json.Marshal(row{"error": maskedText(errorID())}) // a map of texts always encodes
		body = string(encoded)
	}
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(f.Status)
	_, _ = io.WriteString(w, body)
}

// truncate sends the head, half of the body and then the end. An answer without a body is cut
// before its head.
func truncate(w http.ResponseWriter, answer *kept) {
	body := answer.body.Bytes()
	if len(body) == 0 {
		reset(w)
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	answer.head(w)
	_, _ = w.Write(body[:len(body)/2])
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler) // closes the connection; the half that was sent still arrives
}

// noise is what garbage answers with: it begins like a record and is none.
const noise = "{\"id\":7,\"tit\x00\xff\xfe<garbage>"

func garble(w http.ResponseWriter, answer *kept, body string) {
	if body == "" {
		body = noise
	}
	answer.header.Del("ETag")
	answer.head(w)
	_, _ = io.WriteString(w, body)
}

// trickle sends the body in ten pieces over the fault's time.
func trickle(s *Simulator, f *setFault, w http.ResponseWriter, answer *kept, gone <-chan struct{}) {
	const pieces = 10
	body := answer.body.Bytes()
	answer.head(w)
	for i := range pieces {
		_ = http.NewResponseController(w).Flush()
		s.faults.hold(f, s.clock.After(f.delay()/pieces), gone)
		if _, err := w.Write(body[len(body)*i/pieces : len(body)*(i+1)/pieces]); err != nil {
			return
		}
	}
}

// kept is an answer that is not sent, or not as it is.
type kept struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func newKept() *kept { return &kept{header: http.Header{}, status: http.StatusOK} }

func (a *kept) Header() http.Header         { return a.header }
func (a *kept) WriteHeader(status int)      { a.status = status }
func (a *kept) Write(b []byte) (int, error) { return a.body.Write(b) }

func (a *kept) head(w http.ResponseWriter) {
	for k, v := range a.header {
		w.Header()[k] = v
	}
	w.WriteHeader(a.status)
}

// disturb lets a fault apply to a delivery that is about to be sent. It returns the body to
// send and how often; 0 means not now.
func (s *Simulator) disturb(d *delivery, body []byte) ([]byte, int) {
	f := s.faults.take(func(f Fault) bool { return f.hitsWebhook(d) })
	if f == nil {
		return body, 1
	}
	s.log.Info("fault", "id", f.ID, "kind", f.Kind, "delivery", d.id, "ticket", d.ticket)
	switch f.Kind {
	case FaultDuplicate:
		return body, 2
	case FaultCorrupt:
		return body[:len(body)/2], 1
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock.Now()
	switch f.Kind {
	case FaultDrop:
		d.tries = append(d.tries, Attempt{At: now, Error: "dropped by fault " + f.ID})
		s.done(d)
	case FaultReorder:
		d.putOff, d.behind, d.due = true, true, now.Add(reorderLimit)
		if f.DelayMS > 0 {
			d.due = now.Add(f.delay())
		}
	case FaultDelay:
		d.putOff, d.due = true, now.Add(f.delay())
	}
	return nil, 0
}
