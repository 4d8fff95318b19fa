import { app, json } from "@weir/guest/http";

let visits = 0;

app.get("/", c => c.text(`hello, visitor ${++visits}\n`));

app.get("/users/:id", c => c.json(json().str("id", c.param("id")).num("visits", visits)));

app.post("/sum", c => {
  const n = c.query("n");
  if (n === null) { c.status = 400; c.text("n is missing\n"); return; }
  c.text((I32.parseInt(n) + 1).toString());
});
