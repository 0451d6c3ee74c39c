// CoreDNS with the plugins that the lab's Corefile names. The full set brings the SDKs of every
// cloud with it.
package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"

	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/health"
	_ "github.com/coredns/coredns/plugin/kubernetes"
)

func main() {
	// The order in which a query goes through them.
	dnsserver.Directives = []string{"bind", "health", "errors", "cache", "kubernetes"}
	coremain.Run()
}
