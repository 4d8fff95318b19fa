import { app } from "@weir/guest/http";

app.get("/", c => c.text("Hello, world!"));
