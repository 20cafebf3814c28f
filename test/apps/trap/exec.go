// exec.go - starts a program N times at once and counts the right answers.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync"
)

func main() {
	n, _ := strconv.Atoi(os.Args[2])
	var wait sync.WaitGroup
	right := make(chan bool, n)
	for i := 0; i < n; i++ {
		wait.Add(1)
		go func() {
			defer wait.Done()
			word := strconv.Itoa(i)
			out, err := exec.Command(os.Args[1], word).Output()
			if err == nil && string(out) == "<"+word+">\n" {
				right <- true
			} else {
				fmt.Println(err, string(out))
			}
		}()
	}
	wait.Wait()
	fmt.Println(len(right), "of", n)
}
