package bridge

import (
	"errors"
	"net/http"
)

// Error is one value of the catalogue that clients see. Sentence is for people
// and may be reworded; Code is stable; Retryable tells a device whether the
// same request may succeed later without a change.
type Error struct {
	Status    int    // HTTP status (RFC 9110) that the doors answer with; the heart never looks at it
	Code      string // stable, snake case
	Sentence  string
	Retryable bool
}

// Error gives code and sentence; it holds nothing that a client may not see.
func (e *Error) Error() string { return e.Code + ": " + e.Sentence }

// The catalogue. Where the app's first server had a sentence for the case, it
// is the same, since apps may show it.
var (
	ErrChatNotFound     = &Error{http.StatusNotFound, "chat_not_found", "Chat not found.", false}
	ErrRegionNotFound   = &Error{http.StatusNotFound, "region_not_found", "There is no such region.", false}
	ErrLanguageNotFound = &Error{http.StatusNotFound, "language_not_found", "This region does not have this language.", false}
	ErrPathNotFound     = &Error{http.StatusNotFound, "path_not_found", "There is nothing at this address.", false}
	ErrMethod           = &Error{http.StatusMethodNotAllowed, "method_not_allowed", "This address does not take this method; the header Allow lists those that it takes.", false}

	ErrMessageEmpty   = &Error{http.StatusBadRequest, "message_empty", "The message is empty.", false}
	ErrMessageTooLong = &Error{http.StatusBadRequest, "message_too_long", "The message is too long.", false}
	ErrMessageText    = &Error{http.StatusBadRequest, "message_invalid_text", "The message is not valid UTF-8 text, or it contains a NUL character.", false}
	ErrBody           = &Error{http.StatusBadRequest, "invalid_body", "The body of the request could not be read.", false}
	ErrBodyTooLarge   = &Error{http.StatusRequestEntityTooLarge, "body_too_large", "The body of the request is too large.", false}
	ErrContentType    = &Error{http.StatusUnsupportedMediaType, "unsupported_content_type", "Send multipart/form-data, application/x-www-form-urlencoded or application/json.", false}
	ErrDeviceID       = &Error{http.StatusBadRequest, "invalid_device_id", "The device id is not valid.", false}
	ErrSince          = &Error{http.StatusBadRequest, "invalid_since", "The parameter since must be a number that an earlier answer gave as seq.", false}
	ErrWait           = &Error{http.StatusBadRequest, "invalid_wait", "The parameter wait must be a number of seconds from 0 to 60.", false}
	ErrUpgrade        = &Error{http.StatusUpgradeRequired, "upgrade_required", "This address speaks WebSocket (RFC 6455, version 13) over HTTP/1.1 only.", false}
	ErrOrigin         = &Error{http.StatusForbidden, "origin_not_allowed", "Pages of this origin may not open the chat.", false}
	ErrKey            = &Error{http.StatusBadRequest, "invalid_idempotency_key", "The idempotency key must have 1 to 200 visible ASCII characters.", false}
	ErrKeyReused      = &Error{http.StatusConflict, "idempotency_key_reused", "This idempotency key was used before with another message.", false}
	ErrConsent        = &Error{http.StatusBadRequest, "invalid_consent", "The field evaluation_consent must be true or false.", false}

	ErrFiles              = &Error{http.StatusBadRequest, "too_many_attachments", "The message has too many attachments.", false}
	ErrFileTooLarge       = &Error{http.StatusRequestEntityTooLarge, "attachment_too_large", "An attachment exceeds the maximum allowed size.", false}
	ErrFileType           = &Error{http.StatusUnsupportedMediaType, "unsupported_attachment", "An attachment has an unsupported file type.", false}
	ErrFile               = &Error{http.StatusBadRequest, "invalid_attachment", "An attachment is damaged or not what it seems to be.", false}
	ErrAttachmentNotFound = &Error{http.StatusNotFound, "attachment_not_found", "Attachment not found.", false}
	ErrDeskAway           = &Error{http.StatusServiceUnavailable, "desk_unavailable", "The attachment cannot be fetched at the moment. Please try again later.", true}

	ErrNotServed   = &Error{http.StatusForbidden, "device_not_served", "The chat is not available on this device yet.", false}
	ErrRegionOff   = &Error{http.StatusServiceUnavailable, "chat_disabled", "No chat server is configured for your region.", true}
	ErrRateLimited = &Error{http.StatusTooManyRequests, "rate_limited", "Too many requests. Please try again later.", true}
	ErrManyStreams = &Error{http.StatusTooManyRequests, "too_many_streams", "This device has too many connections open.", true}
	ErrFull        = &Error{http.StatusServiceUnavailable, "server_full", "The server has no room for another lasting connection. Please poll instead, or try again later.", true}
	ErrStopping    = &Error{http.StatusServiceUnavailable, "shutting_down", "The server is restarting. Please try again.", true}
	ErrStorage     = &Error{http.StatusServiceUnavailable, "storage_unavailable", "The server cannot reach its storage at the moment. Please try again later.", true}
	ErrInternal    = &Error{http.StatusInternalServerError, "internal_error", "An error occurred while attempting to connect to the chat server.", true}

	ErrReceiptUnknown = &Error{http.StatusNotFound, "receipt_not_found", "There is no erasure with this receipt, or it is older than 30 days.", false}

	ErrIdentityMissing = &Error{http.StatusUnauthorized, "identity_required", "This region wants a signed token that names the device.", false}
	ErrIdentityInvalid = &Error{http.StatusUnauthorized, "identity_invalid", "The signed token is not valid for this device.", false}
	ErrIdentityExpired = &Error{http.StatusUnauthorized, "identity_expired", "The signed token has expired.", false}
	ErrIdentityKeys    = &Error{http.StatusServiceUnavailable, "identity_unavailable", "The keys that prove who you are cannot be fetched at the moment. Please try again.", true}
	ErrChatToken       = &Error{http.StatusUnauthorized, "chat_token_required", "This chat can only be used with its chat token.", false}
	ErrTicketInvalid   = &Error{http.StatusUnauthorized, "ticket_invalid", "The stream ticket is not valid, or it has expired.", false}

	ErrSignature    = &Error{http.StatusUnauthorized, "invalid_signature", "The webhook's signature is missing or wrong.", false}
	ErrWebhookToken = &Error{http.StatusNotFound, "webhook_not_found", "There is no webhook for this token.", false}
	ErrWebhookBody  = &Error{http.StatusBadRequest, "invalid_webhook", "The body is not a webhook delivery of Zammad.", false}

	ErrAPIToken  = &Error{http.StatusUnauthorized, "api_token_required", "Send a valid API token in the header Authorization, as Bearer.", false}
	ErrScope     = &Error{http.StatusForbidden, "scope_missing", "This API token may not do this.", false}
	ErrNoIfMatch = &Error{http.StatusPreconditionRequired, "if_match_required", "Send the ETag of the state that you have read in the header If-Match.", false}
	ErrIfMatch   = &Error{http.StatusPreconditionFailed, "region_changed", "The region was changed in the meantime. Read it again.", false}
	ErrPatchType = &Error{http.StatusUnsupportedMediaType, "unsupported_patch_type", "Send a JSON merge patch, as application/merge-patch+json.", false}
	ErrSettings  = &Error{http.StatusUnprocessableEntity, "invalid_settings", "Some fields cannot be set like this; nothing was changed.", false}
)

// Catalogue lists every error that a client can get, for the documentation and
// for the test that holds openapi.yaml against it.
func Catalogue() []*Error {
	return []*Error{
		ErrChatNotFound, ErrRegionNotFound, ErrLanguageNotFound, ErrPathNotFound, ErrMethod,
		ErrMessageEmpty, ErrMessageTooLong, ErrMessageText, ErrBody, ErrBodyTooLarge, ErrContentType,
		ErrDeviceID, ErrSince, ErrWait, ErrUpgrade, ErrOrigin, ErrKey, ErrKeyReused, ErrConsent,
		ErrFiles, ErrFileTooLarge, ErrFileType, ErrFile, ErrAttachmentNotFound, ErrDeskAway,
		ErrNotServed, ErrRegionOff, ErrRateLimited, ErrManyStreams, ErrFull, ErrStopping, ErrStorage, ErrInternal,
		ErrReceiptUnknown, ErrIdentityMissing, ErrIdentityInvalid, ErrIdentityExpired, ErrIdentityKeys, ErrChatToken, ErrTicketInvalid,
		ErrSignature, ErrWebhookToken, ErrWebhookBody,
		ErrAPIToken, ErrScope, ErrNoIfMatch, ErrIfMatch, ErrPatchType, ErrSettings,
	}
}

// Errors between the rooms; none of them reaches a client as it is.
var (
	ErrClaimLost       = errors.New("the claim was lost: somebody else works on this lane")
	ErrTicketUnknown   = errors.New("no chat has this ticket")
	ErrNoTicket        = errors.New("the chat has no ticket yet, and messages that will make one")
	ErrTicketRead      = errors.New("the ticket was read anew in the meantime")
	ErrLetterUnknown   = errors.New("there is no such dead letter")
	ErrDeliveryUnknown = errors.New("there is no such delivery, or nothing is left to do with it")
	ErrJobRunning      = errors.New("the job is running already")
	ErrTesterUnknown   = errors.New("nobody has set anything for this device")
	ErrRegionExists    = errors.New("there is already a region with this slug")
	ErrRegionChanged   = errors.New("the region was changed by somebody else in the meantime")
)
