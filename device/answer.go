package device

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"deskbridge/bridge"
)

// The values of constant headers, shared by all answers. Nothing writes to them.
var (
	contentJSON = []string{"application/json; charset=utf-8"}
	// revalidate lets a client keep an answer and ask whether it still holds;
	// nobody between may keep it.
	revalidate = []string{"private, no-cache"}
)

// maxKept is the largest buffer, in bytes, that is kept for the next answer.
const maxKept = 256 << 10

// etag is an entity tag with its quotes; empty for answers without one.
type etag string

// stateTag names a device's state as one region and one since show it. It needs
// nothing but numbers, so that a poll without news costs no query.
func stateTag(r *bridge.Region, seq, since bridge.Seq) etag {
	var room [64]byte
	b := append(room[:0], '"')
	b = strconv.AppendInt(b, r.Version, 10)
	b = strconv.AppendInt(append(b, '-'), int64(seq), 10)
	b = strconv.AppendInt(append(b, '-'), int64(since), 10)
	return etag(append(b, '"'))
}

// in says whether the values of If-None-Match name the tag. Tags are compared
// weakly (RFC 9110, 13.1.2): a proxy that compresses makes them weak. What is no
// list of tags matches nothing, so that the client gets the whole answer.
func (e etag) in(condition []string) bool {
	for _, list := range condition {
		for {
			list = strings.TrimLeft(list, " \t,")
			if list == "" {
				break
			}
			if list == "*" {
				return true
			}
			list = strings.TrimPrefix(list, "W/")
			if list == "" || list[0] != '"' {
				break
			}
			end := strings.IndexByte(list[1:], '"')
			if end < 0 {
				break
			}
			if list[:end+2] == string(e) {
				return true
			}
			list = list[end+2:]
		}
	}
	return false
}

// query is what a chat call asks for.
type query struct {
	since bridge.Seq    // 0: everything
	given bool          // since was
	wait  time.Duration // for news
}

// maxWait is the longest that a poll may wait for news. The timeouts of the
// frame and of most proxies are longer.
const maxWait = 60 * time.Second

// parseQuery reads the query of a chat call.
func parseQuery(raw string) (query, error) {
	if raw == "" {
		return query{}, nil
	}
	values, err := url.ParseQuery(raw)
	if err != nil {
		return query{}, fmt.Errorf("%w (query: %w)", bridge.ErrSince, err)
	}
	var q query
	if since, given := values["since"]; given {
		if len(since) > 1 {
			return query{}, bridge.ErrSince
		}
		if q.since, err = parseSeq(since[0]); err != nil {
			return query{}, err
		}
		q.given = true
	}
	if wait, given := values["wait"]; given {
		seconds, err := strconv.ParseUint(wait[0], 10, 16)
		if q.wait = time.Duration(seconds) * time.Second; err != nil || len(wait) > 1 || q.wait > maxWait {
			return query{}, bridge.ErrWait
		}
	}
	return q, nil
}

// parseSeq reads a cursor.
func parseSeq(text string) (bridge.Seq, error) {
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return 0, bridge.ErrSince
	}
	return bridge.Seq(n), nil
}

func notModified(c *gin.Context, tag etag) error {
	h := c.Writer.Header()
	h["Etag"] = []string{string(tag)}
	h["Cache-Control"] = revalidate
	c.Status(http.StatusNotModified)
	c.Writer.WriteHeaderNow()
	return nil
}

// answerJSON writes a document. An error means that the client took none of it.
func (d *Door) answerJSON(c *gin.Context, tag etag, document any) error {
	return d.encoded(document, func(body []byte) error { return writeJSON(c, tag, body) })
}

// encoded lends the JSON of a document to use.
func (d *Door) encoded(document any, use func([]byte) error) error {
	buffer := d.buffers.Get().(*bytes.Buffer)
	buffer.Reset()
	defer func() {
		if buffer.Cap() <= maxKept {
			d.buffers.Put(buffer)
		}
	}()
	if err := encode(buffer, document); err != nil {
		return err
	}
	return use(buffer.Bytes())
}

func encode(to *bytes.Buffer, document any) error {
	encoder := json.NewEncoder(to)
	encoder.SetEscapeHTML(false) // nobody puts this into a page, and content is full of tags
	if err := encoder.Encode(document); err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	return nil
}

func writeJSON(c *gin.Context, tag etag, body []byte) error {
	h := c.Writer.Header()
	h["Content-Type"] = contentJSON
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	h["Cache-Control"] = revalidate
	if tag != "" {
		h["Etag"] = []string{string(tag)}
	}
	c.Status(http.StatusOK)
	if _, err := c.Writer.Write(body); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	return nil
}
