"""A panel with a tray, a notification service and a window manager's close button, on the bus and the display of whoever
starts it. Reads a command a line, answers with a line of JSON each."""
import json
import sys
import threading

import dbus
import dbus.mainloop.glib
import dbus.service
from gi.repository import GLib
from Xlib import X, display
from Xlib.protocol import event

dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
bus = dbus.SessionBus()
items, notices = [], []
WATCHER, MENU = "org.kde.StatusNotifierWatcher", "com.canonical.dbusmenu"


class Watcher(dbus.service.Object):
    @dbus.service.method(WATCHER, in_signature="s", sender_keyword="sender")
    def RegisterStatusNotifierItem(self, path, sender=None):
        items.append((sender, path) if path.startswith("/") else (path, "/StatusNotifierItem"))

    @dbus.service.method(dbus.PROPERTIES_IFACE, in_signature="ss", out_signature="v")
    def Get(self, _interface, name):
        return {"IsStatusNotifierHostRegistered": True, "ProtocolVersion": 0}[name]

    @dbus.service.method(dbus.PROPERTIES_IFACE, in_signature="s", out_signature="a{sv}")
    def GetAll(self, _interface):
        return {"IsStatusNotifierHostRegistered": True, "ProtocolVersion": 0}


class Notifications(dbus.service.Object):
    NAME = "org.freedesktop.Notifications"

    @dbus.service.method(NAME, in_signature="susssasa{sv}i", out_signature="u")
    def Notify(self, _app, _replaces, _icon, title, body, _actions, _hints, _timeout):
        notices.append({"title": str(title), "body": str(body)})
        return len(notices)

    @dbus.service.method(NAME, out_signature="as")
    def GetCapabilities(self):
        return ["body"]

    @dbus.service.method(NAME, out_signature="ssss")
    def GetServerInformation(self):
        return ("desk", "tests", "1", "1.2")


def menu():
    name, path = items[-1]
    item = dbus.Interface(bus.get_object(name, path), dbus.PROPERTIES_IFACE)
    return dbus.Interface(bus.get_object(name, item.Get("org.kde.StatusNotifierItem", "Menu")), MENU)


def rows(node, found):
    number, properties, children = node
    if "label" in properties:
        on = properties.get("toggle-state")
        row = {"id": int(number), "label": str(properties["label"]).replace("_", "")}
        row["enabled"] = bool(properties.get("enabled", True))
        row["on"] = None if on is None else bool(on == 1)
        found.append(row)
    for child in children:
        rows(child, found)
    return found


def layout():
    return rows(menu().GetLayout(0, -1, [])[1], []) if items else []


def click(label):
    row = next(row for row in layout() if row["label"] == label)
    menu().Event(row["id"], "clicked", dbus.String("", variant_level=1), 0)
    return row


def windows():
    """Titles of the windows that can be seen, and which of them has the keyboard."""
    screen = display.Display()
    focus = screen.get_input_focus().focus

    def seen(window):
        try:
            title = window.get_wm_name()
            if title and window.get_attributes().map_state == X.IsViewable:
                yield window, str(title)
            for child in window.query_tree().children:
                yield from seen(child)
        except Exception:
            return

    return screen, [(window, title, focus not in (X.NONE, X.PointerRoot) and focus.id == window.id) for window, title in seen(screen.screen().root)]


def close(wanted):
    screen, found = windows()
    window = next(window for window, title, _ in found if title == wanted)
    atom = screen.intern_atom
    message = event.ClientMessage(window=window, client_type=atom("WM_PROTOCOLS"), data=(32, [atom("WM_DELETE_WINDOW"), X.CurrentTime, 0, 0, 0]))
    window.send_event(message)
    screen.flush()
    return True


def answer(line):
    verb, _, rest = line.strip().partition(" ")
    known = {"layout": lambda _: layout(), "click": click, "notices": lambda _: notices, "close": close}
    known["windows"] = lambda _: [{"title": title, "focus": focus} for _, title, focus in windows()[1]]
    try:
        said = known[verb](rest)
    except Exception as error:
        said = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(said), flush=True)
    return False


def listen():
    for line in sys.stdin:
        GLib.idle_add(answer, line)
    loop.quit()


names = [dbus.service.BusName(name, bus) for name in (WATCHER, Notifications.NAME)]
Watcher(bus, "/StatusNotifierWatcher")
Notifications(bus, "/org/freedesktop/Notifications")
loop = GLib.MainLoop()
threading.Thread(target=listen, daemon=True).start()
print(json.dumps("up"), flush=True)
loop.run()
