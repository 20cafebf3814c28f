// The visit counter of server.mjs in Go, from the standard library alone: go run ip-visit-counter.go
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

type visit struct {
	Address  string `json:"address"`
	Visits   int    `json:"visits"`
	Info     string `json:"info"`
	Release  string `json:"release"`
	Instance string `json:"instance"`
	Runtime  string `json:"runtime"`
}

func env(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

// increment runs one INCR on a connection of its own.
func increment(key string) (int, error) {
	connection, err := net.DialTimeout("tcp", env("REDIS_ADDRESS", "redis:6379"), 5*time.Second)
	if err != nil {
		return 0, err
	}
	defer connection.Close()
	connection.SetDeadline(time.Now().Add(5 * time.Second))
	fmt.Fprintf(connection, "*2\r\n$4\r\nINCR\r\n$%d\r\n%s\r\n", len(key), key)
	answer, err := bufio.NewReader(connection).ReadString('\n')
	if err != nil {
		return 0, err
	}
	if !strings.HasPrefix(answer, ":") {
		return 0, fmt.Errorf("Redis answered %s", strings.TrimSpace(answer))
	}
	return strconv.Atoi(strings.TrimSpace(answer[1:]))
}

func describe(address string) (string, error) {
	client := http.Client{Timeout: 5 * time.Second}
	response, err := client.Get(env("INFO_URL", "http://ip-info") + "/?address=" + url.QueryEscape(address))
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return strings.TrimSpace(string(text)), err
}

func main() {
	instance := "local"
	if len(os.Args) > 1 {
		instance = os.Args[1]
	}
	send := func(writer http.ResponseWriter, status int, body any) {
		writer.Header().Set("content-type", "application/json")
		writer.WriteHeader(status)
		json.NewEncoder(writer).Encode(body)
	}
	http.HandleFunc("/health", func(writer http.ResponseWriter, _ *http.Request) {
		send(writer, http.StatusOK, map[string]bool{"ok": true})
	})
	http.HandleFunc("/", func(writer http.ResponseWriter, request *http.Request) {
		address, _, _ := net.SplitHostPort(request.RemoteAddr)
		visits, err := increment("visits:" + address)
		info := ""
		if err == nil {
			info, err = describe(address)
		}
		if err != nil {
			send(writer, http.StatusBadGateway, map[string]string{"error": err.Error(), "instance": instance})
			return
		}
		send(writer, http.StatusOK, visit{address, visits, info, env("RELEASE", "unknown"), instance, "go"})
	})
	listener, err := net.Listen("tcp", ":"+env("LISTEN_PORT", "8080"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("ip-visit-counter (%s) listens on %s\n", instance, listener.Addr())
	log.Fatal(http.Serve(listener, nil))
}
