// Package hermes has the messages of the Hermes protocol, by which the parts of a voice assistant talk over MQTT: those of the parts
// that siskin plays, understanding and the end of a dialogue. It knows topics and forms, not the broker.
//
// Topics and fields are those of rhasspy/rhasspy-hermes at 403ea1c (2022-11): names in camelCase, absent values as null. One thing is
// from experience: Snips' own clients fail without asrTokens and asrConfidence in an intent (synesthesiam/rhasspy#130).
package hermes

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Topics that a device of this kind reads.
const (
	TopicQuery         = "hermes/nlu/query"
	TopicNotRecognized = "hermes/dialogueManager/intentNotRecognized"
	TopicSessionEnded  = "hermes/dialogueManager/sessionEnded"
)

// Topics that it writes.
const (
	TopicParsed          = "hermes/nlu/intentParsed"
	TopicNLUUnknown      = "hermes/nlu/intentNotRecognized"
	TopicEndSession      = "hermes/dialogueManager/endSession"
	TopicContinueSession = "hermes/dialogueManager/continueSession"
	TopicSay             = "hermes/tts/say"
	TopicError           = "hermes/error/nlu"
)

// TopicIntent is where a recognised intent goes.
func TopicIntent(name string) string { return "hermes/intent/" + name }

// DefaultSite is the site of messages that name none.
const DefaultSite = "default"

// Utterance is a text that wants an answer: a query of the dialogue manager, or an input that no other service has understood.
type Utterance struct {
	Input      string  `json:"input"`
	SiteID     string  `json:"siteId"`
	ID         *string `json:"id"`
	SessionID  *string `json:"sessionId"`
	CustomData *string `json:"customData"`
	Lang       *string `json:"lang"`
	// IntentFilter lists the intents that may be recognised; nil is all.
	IntentFilter []string `json:"intentFilter"`
}

// maxMessage bounds a message: a sentence and its companions.
const maxMessage = 64 << 10

// ErrMessage is wrapped when a message is not of the protocol.
var ErrMessage = errors.New("not a message of Hermes")

// ParseUtterance reads a query, or an intent that was not recognised. An input may be absent there: then there is nothing to answer,
// and Input is empty.
func ParseUtterance(payload []byte) (Utterance, error) {
	var u Utterance
	if len(payload) > maxMessage {
		return u, fmt.Errorf("%d bytes, at most %d are allowed: %w", len(payload), maxMessage, ErrMessage)
	}
	if err := json.Unmarshal(payload, &u); err != nil {
		return u, fmt.Errorf("%w: %w", ErrMessage, err)
	}
	if u.SiteID == "" {
		u.SiteID = DefaultSite
	}
	u.Input = strings.TrimSpace(u.Input)
	return u, nil
}

// Allows reports whether the filter of an utterance lets an intent pass.
func (u *Utterance) Allows(intent string) bool {
	if len(u.IntentFilter) == 0 {
		return true
	}
	for _, name := range u.IntentFilter {
		if name == intent {
			return true
		}
	}
	return false
}

// Ended is the end of a session.
type Ended struct {
	SessionID string `json:"sessionId"`
}

// ParseEnded reads it.
func ParseEnded(payload []byte) (Ended, error) {
	var e Ended
	if len(payload) > maxMessage || json.Unmarshal(payload, &e) != nil || e.SessionID == "" {
		return e, fmt.Errorf("end of a session: %w", ErrMessage)
	}
	return e, nil
}

// intent names what was recognised.
type intent struct {
	Name       string  `json:"intentName"`
	Confidence float64 `json:"confidenceScore"`
}

// Parsed is the message on TopicParsed.
func (u *Utterance) Parsed(name string) ([]byte, error) {
	return json.Marshal(map[string]any{
		"input": u.Input, "intent": intent{name, 1}, "siteId": u.SiteID, "id": u.ID, "slots": []any{}, "sessionId": u.SessionID,
	})
}

// Intent is the message on TopicIntent.
func (u *Utterance) Intent(name string) ([]byte, error) {
	return json.Marshal(map[string]any{
		"input": u.Input, "intent": intent{name, 1}, "siteId": u.SiteID, "id": u.ID, "slots": []any{}, "sessionId": u.SessionID,
		"customData": u.CustomData, "asrTokens": [][]any{{}}, "asrConfidence": 1.0, "rawInput": u.Input, "wakewordId": nil, "lang": u.Lang,
	})
}

// Unknown is the message on TopicNLUUnknown.
func (u *Utterance) Unknown() ([]byte, error) {
	return json.Marshal(map[string]any{
		"input": u.Input, "siteId": u.SiteID, "id": u.ID, "customData": u.CustomData, "sessionId": u.SessionID,
	})
}

// Say is the message on TopicSay; id tells several of one answer apart.
func (u *Utterance) Say(text, id string) ([]byte, error) {
	return json.Marshal(map[string]any{
		"text": text, "siteId": u.SiteID, "lang": u.Lang, "id": id, "sessionId": u.SessionID, "volume": nil,
	})
}

// EndSession is the message on TopicEndSession; an empty text says nothing.
func (u *Utterance) EndSession(text string) ([]byte, error) {
	return json.Marshal(map[string]any{"sessionId": u.SessionID, "text": orNull(text), "customData": u.CustomData})
}

// ContinueSession is the message on TopicContinueSession: the text is said, then the site listens again.
func (u *Utterance) ContinueSession(text string) ([]byte, error) {
	return json.Marshal(map[string]any{
		"sessionId": u.SessionID, "text": orNull(text), "intentFilter": nil, "customData": u.CustomData, "sendIntentNotRecognized": false,
		"slot": nil, "lang": u.Lang,
	})
}

// Error is the message on TopicError.
func (u *Utterance) Error(text string) ([]byte, error) {
	return json.Marshal(map[string]any{"error": text, "siteId": u.SiteID, "context": u.Input, "sessionId": u.SessionID})
}

func orNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
