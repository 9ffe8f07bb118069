require("http").createServer((_, response) => response.end("node is here\n")).listen(8106, "localhost");
