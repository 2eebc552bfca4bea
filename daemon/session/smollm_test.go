package session_test

import (
	"fmt"
	"reflect"
	"testing"

	"siskin/daemon/session"
	"siskin/model"
	"siskin/model/draft"
	"siskin/model/goldentest"
	"siskin/model/kernel"
	"siskin/mqtt/message"
)

// smollmRig is an engine over the default model, on the kernels of this machine.
func smollmRig(t testing.TB, drafts int) *rig {
	t.Helper()
	m, err := model.Open(goldentest.Model(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	limits := model.Limits{Rows: 64, Logits: draft.MaxRows, Sequences: 1, Context: 1024}
	return modelRig(t, m, kernel.All()[0], limits, func(o *session.Options) { o.Drafts = drafts })
}

// The default model copies with drafts as without.
func TestDefaultModelDrafts(t *testing.T) {
	q := message.Request{ID: "a", MaxTokens: 8, Messages: []message.Message{
		{Role: "system", Content: "Echo."}, {Role: "user", Content: "one two"}, {Role: "assistant", Content: "one two"}, {Role: "user", Content: "one two"},
	}}
	want := smollmRig(t, 0).ask(q)[0]
	got := smollmRig(t, 4).ask(q)[0]
	if !reflect.DeepEqual(plain(got), plain(want)) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got.Usage.AcceptedTokens == 0 {
		t.Errorf("nothing was accepted: %+v", got)
	}
}

const invoice = `{"invoice": {"number": "2026-0417", "date": "2026-03-05", "customer": {"name": "Harbour Bakery", "city": "Bergen"},
"items": [{"name": "flour, 25 kg", "count": 4, "price": 31.5}, {"name": "yeast, 1 kg", "count": 6, "price": 9.8},
{"name": "salt, 10 kg", "count": 1, "price": 12.0}], "total": 196.8, "paid": false}}`

const harbour = `The harbour of the old town was built in 1742 by Dutch engineers. Its two moles are made of granite that came by
ship from the quarries in the north. In the great storm of 1871 the western mole broke, and eleven boats were lost. The town
council decided to rebuild it with iron clamps between the stones. Since then the moles have stood every storm, and the
harbour is used by fishing boats, by the ferry to the islands, and in summer by many sailing boats.`

// BenchmarkDrafts measures answers of the default model: tokens a pass, the share of drafted tokens that were right, and
// tokens a second of decoding, on tasks that copy and on free text.
func BenchmarkDrafts(b *testing.B) {
	for _, task := range []struct{ name, prompt string }{
		{"json", "Return exactly this JSON document, with \"paid\" set to true:\n" + invoice},
		{"rewrite", "Repeat the following text and replace \"Dutch\" by \"Danish\":\n" + harbour},
		{"summary", "Summarise the following text in three sentences:\n" + harbour},
		{"free", "Write a short story about a lighthouse keeper who finds a letter."},
	} {
		for _, temperature := range []float32{0, 0.8} {
			for _, drafts := range []int{0, session.Adaptive, 3, 7} {
				b.Run(fmt.Sprintf("%s/temperature=%v/drafts=%d", task.name, temperature, drafts), func(b *testing.B) {
					r := smollmRig(b, drafts)
					var used message.Usage
					var ms int64
					for i := range b.N {
						a := r.ask(message.Request{
							ID: fmt.Sprint(i), Prompt: task.prompt, MaxTokens: 200, Temperature: ptr(temperature), Seed: ptr(uint64(7 + i)),
						})[0]
						used.CompletionTokens += a.Usage.CompletionTokens
						used.DraftedTokens += a.Usage.DraftedTokens
						used.AcceptedTokens += a.Usage.AcceptedTokens
						ms += a.Timing.DecodeMs
					}
					b.ReportMetric(float64(used.CompletionTokens)/float64(used.CompletionTokens-used.AcceptedTokens), "tokens/pass")
					b.ReportMetric(float64(used.AcceptedTokens)/float64(max(1, used.DraftedTokens)), "right")
					b.ReportMetric(float64(used.CompletionTokens)/float64(b.N), "tokens")
					b.ReportMetric(1000*float64(used.CompletionTokens)/float64(max(1, ms)), "tok/s")
				})
			}
		}
	}
}
