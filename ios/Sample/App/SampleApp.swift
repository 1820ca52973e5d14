// Two ways to use Pocketlens, and a report of the phone that runs them.

import SwiftUI

@main
struct SampleApp: App {
    var body: some Scene {
        WindowGroup {
            TabView {
                ShoppingScreen().tabItem { Label("Shopping", systemImage: "cart") }
                LandmarksScreen().tabItem { Label("Landmarks", systemImage: "building.columns") }
                SelfTestScreen().tabItem { Label("Self-test", systemImage: "checklist") }
            }
        }
    }
}
