// server.go PORT NAME: see server.mjs. Built without cgo, so that Go's own resolver and system calls are used.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
)

func ask(who, host string) map[string]any {
	addresses, err := net.LookupHost(host)
	if err != nil {
		return map[string]any{"who": who, "error": err.Error()}
	}
	response, err := http.Get("http://" + host + "/")
	if err != nil {
		return map[string]any{"who": who, "error": err.Error()}
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	return map[string]any{"who": who, "addresses": addresses, "answer": string(text)}
}

func main() {
	port, who := os.Args[1], os.Args[2]
	http.HandleFunc("/", func(writer http.ResponseWriter, request *http.Request) {
		size, _ := io.Copy(io.Discard, request.Body)
		words := strings.Split(request.URL.Path, "/")
		switch words[1] {
		case "exit":
			code, _ := strconv.Atoi(words[2])
			os.Exit(code)
		case "ask":
			json.NewEncoder(writer).Encode(ask(who, words[2]))
		default:
			peer, _, _ := net.SplitHostPort(request.RemoteAddr)
			json.NewEncoder(writer).Encode(map[string]any{"who": who, "fromPod": os.Getenv("FROM_POD"), "peer": peer, "bytes": size})
		}
	})
	listener, err := net.Listen("tcp4", ":"+port)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s listens on %s\n", who, port)
	log.Fatal(http.Serve(listener, nil))
}
