package device

import (
	"bytes"
	"strconv"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/gin-gonic/gin"

	"deskbridge/bridge"
)

// enabled is the answer to both questions about is_chat_enabled.
type enabled struct {
	Enabled bool `json:"is_chat_enabled"`
}

// regionsDoor is the part of the door that tells about regions, and who is served.
type regionsDoor struct{ *Door }

// regionEnabled answers the flag of the region's document, for apps that knew
// no devices yet.
func (d regionsDoor) regionEnabled(c *gin.Context) error {
	region, known := d.Regions.BySlug(c.Param("x"))
	if !known {
		return bridge.ErrRegionNotFound
	}
	return d.answerJSON(c, "", enabled{region.ChatShown(d.Now())})
}

// deviceEnabled answers what the gate says of a device. A region that is
// switched off is a plain no here. The path names no language; an app that adds
// ?language= gets the answer that opening a chat in it would give.
func (d regionsDoor) deviceEnabled(c *gin.Context) error {
	region, known := d.Regions.BySlug(c.Param("x"))
	if !known {
		return bridge.ErrRegionNotFound
	}
	id := c.Param("y")
	if err := bridge.CheckDeviceID(id); err != nil {
		return err
	}
	language := c.Query("language")
	if language != "" && !region.HasLanguage(language) {
		return bridge.ErrLanguageNotFound
	}
	decision, err := d.Chats.Decide(c.Request.Context(), region, d.Hasher.Hash(id), language, c.Request.Header.Get(headerAppVersion))
	if err != nil {
		return err
	}
	return d.answerJSON(c, "", enabled{decision.Served})
}

// document is a region's public document: every key that the app's mapper
// reads, none of them ever null where the mapper would stumble over it.
type document struct {
	Name              string            `json:"name"`
	Path              string            `json:"path"`
	Live              bool              `json:"live"`
	Languages         []bridge.Language `json:"languages"`
	Events            bool              `json:"events"`
	POIs              bool              `json:"pois"`
	PushNotifications bool              `json:"push_notifications"`
	ExternalNews      bool              `json:"external_news"`
	TuNews            bool              `json:"tunews"` // the former name of external_news
	NameWithoutPrefix string            `json:"name_without_prefix"`
	Prefix            string            `json:"prefix"`
	Longitude         float64           `json:"longitude"`
	Latitude          float64           `json:"latitude"`
	Aliases           map[string]any    `json:"aliases"`
	BoundingBox       [2][2]float64     `json:"bounding_box"` // longitude, latitude of two corners
	ChatEnabled       bool              `json:"is_chat_enabled"`
	PrivacyPolicy     *string           `json:"zammad_privacy_policy"` // null: the app's own
}

func wireRegion(r *bridge.Region, now time.Time) document {
	from := r.Settings.Document
	out := document{
		Name: r.Name, Path: r.Slug, Live: from.Live, Languages: r.Settings.Languages,
		Events: from.Events, POIs: from.POIs, PushNotifications: from.PushNotifications,
		ExternalNews: from.ExternalNews, TuNews: from.ExternalNews,
		NameWithoutPrefix: from.NameWithoutPrefix, Prefix: from.Prefix,
		Longitude: from.Longitude, Latitude: from.Latitude, Aliases: from.Aliases,
		ChatEnabled: r.ChatShown(now),
	}
	if out.Name == "" {
		out.Name = r.Slug
	}
	if out.NameWithoutPrefix == "" {
		out.NameWithoutPrefix = out.Name
	}
	if out.Languages == nil {
		out.Languages = []bridge.Language{}
	}
	if out.Aliases == nil {
		out.Aliases = map[string]any{}
	}
	if from.PrivacyPolicy != "" {
		out.PrivacyPolicy = &from.PrivacyPolicy
	}
	// A region without a box is the point at which it lies.
	out.BoundingBox = [2][2]float64{{from.Longitude, from.Latitude}, {from.Longitude, from.Latitude}}
	if len(from.BoundingBox) == len(out.BoundingBox) {
		copy(out.BoundingBox[:], from.BoundingBox)
	}
	return out
}

// regionList answers with all regions; which of them are live stands inside.
func (d regionsDoor) regionList(c *gin.Context) error {
	all := d.Regions.All()
	documents := make([]document, len(all))
	for i, region := range all {
		documents[i] = wireRegion(region, d.Now())
	}
	return answerTagged(c, documents)
}

func (d regionsDoor) regionDocument(c *gin.Context) error {
	region, known := d.Regions.BySlug(c.Param("region"))
	if !known {
		return bridge.ErrRegionNotFound
	}
	return answerTagged(c, wireRegion(region, d.Now()))
}

// answerTagged writes a document whose tag is the hash of its bytes.
func answerTagged(c *gin.Context, document any) error {
	var body bytes.Buffer
	if err := encode(&body, document); err != nil {
		return err
	}
	tag := etag(`"` + strconv.FormatUint(xxhash.Sum64(body.Bytes()), 36) + `"`)
	if tag.in(c.Request.Header["If-None-Match"]) {
		return notModified(c, tag)
	}
	return writeJSON(c, tag, body.Bytes())
}
