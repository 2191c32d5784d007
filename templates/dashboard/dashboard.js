// What makes the pages better where scripts run: local times, and events as they come.
"use strict"

const near = { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" }
const thisYear = new Intl.DateTimeFormat(undefined, near), otherYear = new Intl.DateTimeFormat(undefined, { ...near, year: "numeric" })

function localise(part) {
  for (const time of part.querySelectorAll("time[datetime]:not([data-local])")) {
    const at = new Date(time.dateTime)
    time.textContent = (at.getFullYear() === new Date().getFullYear() ? thisYear : otherYear).format(at)
    time.dataset.local = ""
  }
}

function follow(place) {
  const list = place.querySelector("ol"), state = document.getElementById("state"), hold = document.getElementById("hold")
  const held = [], most = 200

  function say(text, open) {
    if (state.textContent !== text) state.textContent = text
    state.classList.toggle("open", open)
  }

  function show(html) {
    const made = document.createElement("template")
    made.innerHTML = html
    const row = made.content.firstElementChild
    const about = row.dataset.about && document.getElementById("e" + row.dataset.about)
    if (about) return about.querySelector(".verdict").replaceWith(row.querySelector(".verdict"))
    if (row.dataset.about || document.getElementById(row.id)) return
    localise(row)
    row.classList.add("new")
    list.prepend(row)
    while (list.childElementCount > most) list.lastElementChild.remove()
    place.querySelector(".empty").hidden = true
  }

  function open() {
    const source = new EventSource(place.dataset.live)
    source.onopen = () => say(paused() ? "Paused" : "Live", !paused())
    source.onerror = () => {
      const over = source.readyState === EventSource.CLOSED
      say(over ? "Not connected: load this page again" : "Connecting again", false)
    }
    source.onmessage = (told) => {
      if (!paused()) return show(told.data)
      held.push(told.data)
      if (held.length > most) held.shift()
      say(`Paused, ${held.length} new`, false)
    }
  }

  const paused = () => hold.getAttribute("aria-pressed") === "true"
  hold.addEventListener("click", () => {
    hold.setAttribute("aria-pressed", String(!paused()))
    say(paused() ? "Paused" : "Live", !paused())
    if (!paused()) held.splice(0).forEach(show)
  })
  open()
}

localise(document)
document.querySelector("nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" })
for (const part of document.querySelectorAll("[data-scripted]")) part.hidden = false
for (const place of document.querySelectorAll("[data-live]")) follow(place)
