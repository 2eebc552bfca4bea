package config

import (
	"strings"
	"testing"
)

func TestCredentials(t *testing.T) {
	c := Default()
	c.MQTT.PasswordFile, c.MQTT.CAFile, c.MQTT.KeyFile = "credential:mqtt", "/etc/ssl/ca.pem", "credential:key.pem"
	got, err := c.WithCredentials("/run/credentials/siskin.service")
	if err != nil {
		t.Fatal(err)
	}
	if got.MQTT.PasswordFile != "/run/credentials/siskin.service/mqtt" || got.MQTT.KeyFile != "/run/credentials/siskin.service/key.pem" ||
		got.MQTT.CAFile != "/etc/ssl/ca.pem" || got.MQTT.CertFile != "" {
		t.Errorf("%+v", got.MQTT)
	}
}

func TestCredentialsRefused(t *testing.T) {
	for _, c := range []struct{ value, folder, want string }{
		{"credential:mqtt", "", "LoadCredential=mqtt:FILE"},
		{"credential:", "/c", "not the name of a credential"},
		{"credential:..", "/c", "not the name of a credential"},
		{"credential:../shadow", "/c", "not the name of a credential"},
		{"credential:a\x00", "/c", "not the name of a credential"},
	} {
		config := Default()
		config.MQTT.PasswordFile = c.value
		if _, err := config.WithCredentials(c.folder); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "mqtt.password_file") {
			t.Errorf("%q in %q: %v, want %q in it", c.value, c.folder, err, c.want)
		}
	}
}
