package daemon_test

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"siskin/daemon"
	"siskin/mqtt/mqtttest"
)

// dialogue is the other side of Hermes: a dialogue manager and a voice, as far as they are seen on the broker.
type dialogue struct {
	t *testing.T
	*mqtttest.Client
	seen []mqtttest.Message
}

func newDialogue(t *testing.T, addr string) *dialogue {
	d := &dialogue{t: t, Client: mqtttest.Dial(t, addr, mqtttest.ClientOptions{ID: "dialogue"})}
	d.Subscribe("hermes/#", 1)
	return d
}

// until takes messages up to one on a topic, and returns that.
func (d *dialogue) until(topic string) map[string]any {
	d.t.Helper()
	for limit := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		for i, m := range d.seen {
			if m.Topic == topic {
				d.seen = append(d.seen[:i:i], d.seen[i+1:]...)
				var out map[string]any
				if err := json.Unmarshal([]byte(m.Payload), &out); err != nil {
					d.t.Fatal(err)
				}
				return out
			}
		}
		d.seen = append(d.seen, d.Unread()...)
		if time.Now().After(limit) {
			d.t.Fatalf("no %s in %+v", topic, d.seen)
		}
	}
}

// spoken returns what was said so far.
func (d *dialogue) spoken() (texts []string) {
	for _, m := range d.seen {
		if m.Topic == "hermes/tts/say" {
			var say struct{ Text, SiteID string }
			if json.Unmarshal([]byte(m.Payload), &say) == nil {
				texts = append(texts, say.Text)
			}
		}
	}
	return texts
}

// A question by voice, with the default model: it is recognised, spoken sentence by sentence while the rest is written, and the
// dialogue ends with the last one; a second turn of the dialogue knows the first. What nobody understood is answered as well, other
// sites are left alone, and a dialogue that ends early ends its answer.
func TestHermes(t *testing.T) {
	broker := mqtttest.StartMosquitto(t, mqtttest.MosquittoOptions{})
	c := realConfig(t, broker.Addr())
	c.Hermes.Enabled, c.Hermes.Intent, c.Hermes.Sites = true, "Assistant", []string{"kitchen"}
	c.Generate.Temperature, c.Generate.MaxTokens = 0, 120
	prompts := make(chan int64, 100)
	log := slog.NewTextHandler(testLog{t}, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == "prompt_tokens" {
			prompts <- a.Value.Int64()
		}
		return a
	}})
	startWith(t, c, daemon.Options{JournalFolder: t.TempDir(), Log: slog.New(log)})
	newUser(t, broker.Addr()).Cut()
	d := newDialogue(t, broker.Addr())
	defer d.Cut()
	d.Publish("hermes/nlu/query", 0, false, `{"input":"Why does it rain? Answer in three sentences.","siteId":"kitchen","id":"q","sessionId":"s 1","customData":"mine"}`)
	intent := d.until("hermes/intent/Assistant")
	if parsed := d.until("hermes/nlu/intentParsed"); parsed["sessionId"] != "s 1" || intent["customData"] != "mine" || intent["id"] != "q" || intent["asrConfidence"] != 1.0 {
		t.Errorf("intent %v, parsed %v", intent, parsed)
	}
	end := d.until("hermes/dialogueManager/endSession")
	pieces := d.spoken()
	if len(pieces) < 2 || end["sessionId"] != "s 1" || end["customData"] != "mine" {
		t.Errorf("spoken %q, end %v", pieces, end)
	}
	for _, piece := range pieces {
		if strings.Contains(piece[min(3, len(piece)):], ". ") || strings.TrimSpace(piece) == "" { // but for "1. "
			t.Errorf("no sentence: %q", piece)
		}
	}
	d.seen = nil
	d.Publish("hermes/nlu/query", 0, false, `{"input":"What did I ask you to write about?","siteId":"kitchen","sessionId":"s 1"}`)
	end = d.until("hermes/dialogueManager/endSession")
	// What a small model makes of it depends on the last bits of the kernels; that it was told does not.
	if first, second := <-prompts, <-prompts; second < first+50 {
		t.Errorf("the second turn does not know the first: prompts of %d and %d tokens, %q", first, second, append(d.spoken(), text(end["text"])))
	}
	d.seen = nil
	d.Publish("hermes/dialogueManager/intentNotRecognized", 0, false, `{"input":"Say hello.","siteId":"kitchen","sessionId":"gone"}`)
	if say := d.until("hermes/tts/say"); say["siteId"] != "kitchen" || text(say["text"]) == "" {
		t.Errorf("fallback %v", say)
	}
	d.seen = nil
	d.Publish("hermes/nlu/query", 0, false, `{"input":"Hello?","siteId":"bedroom","sessionId":"s2"}`)
	d.Publish("hermes/nlu/query", 0, false, `{"input":"Hello?","siteId":"kitchen","sessionId":"s3","intentFilter":["Lights"]}`)
	if u := d.until("hermes/nlu/intentNotRecognized"); u["sessionId"] != "s3" {
		t.Errorf("a filter: %v", u)
	}
	d.Publish("hermes/nlu/query", 0, false, `{"input":"Write a very long story about the sea.","siteId":"kitchen","sessionId":"s4"}`)
	d.until("hermes/intent/Assistant")
	d.Publish("hermes/dialogueManager/sessionEnded", 0, false, `{"sessionId":"s4","siteId":"kitchen","termination":{"reason":"abortedByUser"}}`)
	if end := d.until("hermes/dialogueManager/endSession"); end["text"] != nil {
		t.Errorf("an aborted dialogue says %v", end["text"])
	}
	for _, m := range d.seen {
		if strings.Contains(m.Payload, "bedroom") && m.Topic != "hermes/nlu/query" {
			t.Errorf("another site: %+v", m)
		}
	}
}

// text is a field of a message that may be null.
func text(v any) string {
	s, _ := v.(string)
	return s
}

// The broker sends a query again that it believes to be lost: its intent is published once, and its answer is spoken once.
func TestHermesOnce(t *testing.T) {
	mqtttest.Each(t, func(t *testing.T, broker mqtttest.Broker) {
		p := mqtttest.NewProxy(t, broker.Addr())
		c := tinyConfig(t, p.Addr())
		c.Hermes.Enabled, c.Hermes.Intent = true, "Assistant"
		_, stop := startWith(t, c, daemon.Options{JournalFolder: t.TempDir()})
		defer stop()
		newUser(t, broker.Addr()).Cut()
		d := newDialogue(t, broker.Addr())
		defer d.Cut()
		cut := p.CutAt(mqtttest.Up, mqtttest.Puback) // the broker never hears that the query is safe
		d.Publish("hermes/nlu/query", 1, false, `{"input":"th","siteId":"kitchen","id":"q","sessionId":"s"}`)
		<-cut
		d.until("hermes/intent/Assistant")
		d.until("hermes/dialogueManager/endSession")
		time.Sleep(200 * time.Millisecond)
		d.seen = append(d.seen, d.Unread()...)
		for _, m := range d.seen {
			if m.Topic == "hermes/intent/Assistant" || m.Topic == "hermes/dialogueManager/endSession" {
				t.Errorf("a second %s: %s", m.Topic, m.Payload)
			}
		}
	})
}
