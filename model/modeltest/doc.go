// Package modeltest makes model files for tests: tiny valid ones from a seed, and ones that are wrong on purpose. Only test
// files import it.
package modeltest
