// livenessprobe turns a CSI driver's Probe into an HTTP answer for the kubelet: 200 when the driver
// says that it is ready, 500 with the reason when not.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

func probe(request context.Context, identity csi.IdentityClient, limit time.Duration) error {
	limited, cancel := context.WithTimeout(request, limit)
	defer cancel()
	answer, err := identity.Probe(limited, &csi.ProbeRequest{})
	if err != nil {
		return err
	}
	// No value means ready, by the CSI specification.
	if answer.Ready != nil && !answer.Ready.Value {
		return fmt.Errorf("the driver is not ready")
	}
	return nil
}

func main() {
	address := flag.String("csi-address", "/csi/csi.sock", "the driver's socket")
	endpoint := flag.String("http-endpoint", ":9808", "where /healthz is served")
	limit := flag.Duration("probe-timeout", 3*time.Second, "how long the driver may take")
	flag.Parse()
	connection, err := grpc.NewClient(
		"unix://"+*address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatalf("%s: %v", *address, err)
	}
	identity := csi.NewIdentityClient(connection)
	http.HandleFunc("/healthz", func(answer http.ResponseWriter, request *http.Request) {
		if err := probe(request.Context(), identity, *limit); err != nil {
			log.Printf("probe: %v", err)
			http.Error(answer, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprintln(answer, "ok")
	})
	log.Fatal(http.ListenAndServe(*endpoint, nil))
}
