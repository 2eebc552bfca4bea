package daemon_test

import (
	"fmt"
	"os"
	"testing"

	"siskin/model/kernel"
	"siskin/model/modeltest"
	"siskin/model/quant"
	"siskin/mqtt/message"
	"siskin/mqtt/mqtttest"
)

// A model file that is cut under its mapping, on every kernel set and number of threads, is an error answer; what is asked
// after the file is whole again is answered as before. A removed file stays readable.
func TestModelFileCut(t *testing.T) {
	for _, set := range kernel.All() {
		for _, threads := range []int{1, 2} {
			t.Run(fmt.Sprint(set.Name, "-", threads), func(t *testing.T) {
				broker := mqtttest.StartEmbedded(t)
				c := tinyConfig(t, broker.Addr())
				c.Model.Kernels, c.Model.Threads, c.Model.Pack = set.Name, threads, "off"
				whole := modeltest.Tiny{Seed: 11, Type: quant.Q4_1, Layers: 40, Context: 4096}.File()
				if err := os.WriteFile(c.Model.Path, whole, 0o600); err != nil {
					t.Fatal(err)
				}
				start(t, c)
				u := newUser(t, broker.Addr())
				defer u.Cut()
				ask := func(id string) message.Answer {
					u.prompt(message.Request{ID: id, Prompt: "hello", Temperature: greedy()})
					return u.answer(id)
				}
				before := ask("before")
				if err := os.Truncate(c.Model.Path, int64(len(whole)/2)); err != nil {
					t.Fatal(err)
				}
				for _, id := range []string{"cut", "still-cut"} {
					if a := ask(id); a.Status != message.Failed || a.Code != message.CodeModelFault || a.Text == "" {
						t.Errorf("%s: %+v", id, a)
					}
				}
				if err := os.WriteFile(c.Model.Path+".new", whole, 0o600); err != nil {
					t.Fatal(err)
				}
				if err := os.Rename(c.Model.Path+".new", c.Model.Path); err != nil {
					t.Fatal(err)
				}
				if a := ask("after"); a.Status != message.OK || a.Text != before.Text {
					t.Errorf("after: %+v, before: %+v", a, before)
				}
				if err := os.Remove(c.Model.Path); err != nil {
					t.Fatal(err)
				}
				if a := ask("removed"); a.Status != message.OK || a.Text != before.Text {
					t.Errorf("removed: %+v, before: %+v", a, before)
				}
			})
		}
	}
}
