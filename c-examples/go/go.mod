module example.org/hello_actor

go 1.19
