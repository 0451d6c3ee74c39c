// node-driver-registrar tells the kubelet of a CSI driver on its node: it serves the kubelet's
// registration service on a socket that the kubelet watches for, with the driver's name and socket
// as answer. The kubelet asks again whenever it restarts, so this runs as long as the driver does.
package main

import (
	"context"
	"errors"
	"flag"
	"io/fs"
	"log"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

type registrar struct {
	registration.UnimplementedRegistrationServer
	driver string
	socket string
}

func (r *registrar) GetInfo(
	context.Context, *registration.InfoRequest,
) (*registration.PluginInfo, error) {
	return &registration.PluginInfo{
		Type:              registration.CSIPlugin,
		Name:              r.driver,
		Endpoint:          r.socket,
		SupportedVersions: []string{"1.0.0"},
	}, nil
}

// A refusal ends the program: its restart is the next attempt, and shows in the pod's state.
func (r *registrar) NotifyRegistrationStatus(
	_ context.Context, status *registration.RegistrationStatus,
) (*registration.RegistrationStatusResponse, error) {
	if !status.PluginRegistered {
		log.Fatalf("the kubelet refuses %s: %s", r.driver, status.Error)
	}
	log.Printf("the kubelet knows %s at %s", r.driver, r.socket)
	return &registration.RegistrationStatusResponse{}, nil
}

// The driver may start after this: asked until it answers.
func driverName(address string) string {
	connection, err := grpc.NewClient(
		"unix://"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatalf("%s: %v", address, err)
	}
	defer connection.Close()
	identity := csi.NewIdentityClient(connection)
	for {
		limited, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		info, err := identity.GetPluginInfo(limited, &csi.GetPluginInfoRequest{})
		cancel()
		if err == nil {
			return info.Name
		}
		log.Printf("no answer from the driver: %v", err)
		time.Sleep(time.Second)
	}
}

// A socket left by an earlier life is in the way. The kubelet takes a new one as one more driver.
func listen(path string) net.Listener {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		log.Fatal(err)
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		log.Fatal(err)
	}
	return listener
}

func main() {
	address := flag.String("csi-address", "/csi/csi.sock", "the driver's socket, as seen here")
	socket := flag.String("kubelet-registration-path", "", "the same, as the kubelet sees it")
	directory := flag.String("plugin-registration-path", "/registration", "where the kubelet looks")
	flag.Parse()
	if *socket == "" {
		log.Fatal("--kubelet-registration-path is missing")
	}
	driver := driverName(*address)
	server := grpc.NewServer()
	registration.RegisterRegistrationServer(server, &registrar{driver: driver, socket: *socket})
	log.Fatal(server.Serve(listen(filepath.Join(*directory, driver+"-reg.sock"))))
}
