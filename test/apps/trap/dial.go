// dial GOOD BAD - connects 20 times at once to GOOD, then once to BAD.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
)

func main() {
	results := make(chan string)
	for i := 0; i < 20; i++ {
		go func() {
			c, err := net.Dial("tcp", os.Args[1])
			if err != nil {
				results <- err.Error()
				return
			}
			data, _ := io.ReadAll(c)
			results <- string(data) + " from " + c.RemoteAddr().String()
		}()
	}
	first, same := <-results, 1
	for i := 1; i < 20; i++ {
		if <-results == first {
			same++
		}
	}
	fmt.Println(first, "x", same)
	_, err := net.Dial("tcp", os.Args[2])
	fmt.Println(err)
}
